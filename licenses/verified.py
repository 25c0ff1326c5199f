"""Tokens whose signature has verified, remembered: their bytes never change.

Only form and signature are remembered, for the key that verified them: never a state, and never
what a stranger sends, so that nobody but terminals can fill the memory. A terminal that comes
again costs neither parsing nor RSA.
"""

from collections import OrderedDict
from contextlib import suppress

from licenses import keys, tokens
from licenses.tokens import ParsedToken

MOST = 4096
"""Tokens that a process remembers, about 5 kB each; the one unused for longest goes first."""

_remembered: OrderedDict[str, tuple[ParsedToken, bytes]] = OrderedDict()


def parse(token: str) -> ParsedToken:
    """Return what `tokens.parse` does, without parsing where it is remembered.

    Raises Malformed as that does. Nothing in it is to be trusted before `is_signed`.
    """
    remembered = _remembered.get(tokens.sha256_of(token))
    return tokens.parse(token) if remembered is None else remembered[0]


def is_signed(parsed: ParsedToken, certificate: bytes) -> bool:
    """Return whether the key of this certificate (DER) signed the token."""
    remembered = _remembered.get(parsed.sha256)
    if remembered is None or remembered[1] != certificate:
        if not keys.verify_with(keys.public_key(certificate), parsed):
            return False
        _remembered[parsed.sha256] = (parsed, certificate)
    _tidy(parsed.sha256)
    return True


def forget() -> None:
    """Drop all that this process remembers."""
    _remembered.clear()


def _tidy(newest: str) -> None:
    with suppress(KeyError):  # Another thread was faster.
        _remembered.move_to_end(newest)
        if len(_remembered) > MOST:
            _remembered.popitem(last=False)
