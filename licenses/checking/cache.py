"""A cache of tokens whose signature has verified; their bytes never change.

It holds parsed tokens and the certificates that verified them: never a state, and never a token
without a valid signature, so that strangers cannot fill it. When a terminal checks again, neither
parsing nor RSA is needed.
"""

from collections import OrderedDict
from contextlib import suppress

from licenses import keys, tokens
from licenses.tokens import ParsedToken

MAX_TOKENS = 4096
"""Tokens that a process caches, about 5 kB each; the least recently used is dropped first."""

_cache: OrderedDict[str, tuple[ParsedToken, bytes]] = OrderedDict()


def parse(token: str) -> ParsedToken:
    """Return what `tokens.parse` returns, from the cache if it is there.

    Raises Malformed as it does. Nothing in the result may be trusted before `is_signed`.
    """
    cached = _cache.get(tokens.sha256_of(token))
    return tokens.parse(token) if cached is None else cached[0]


def is_signed(parsed: ParsedToken, certificate: bytes) -> bool:
    """Return whether the key of this certificate (DER) signed the token."""
    cached = _cache.get(parsed.sha256)
    if cached is None or cached[1] != certificate:
        if not keys.verify_with(keys.public_key(certificate), parsed):
            return False
        _cache[parsed.sha256] = (parsed, certificate)
    _tidy(parsed.sha256)
    return True


def clear() -> None:
    """Empty the cache."""
    _cache.clear()


def _tidy(newest: str) -> None:
    with suppress(KeyError):  # Another thread was faster.
        _cache.move_to_end(newest)
        if len(_cache) > MAX_TOKENS:
            _cache.popitem(last=False)
