"""What a process remembers of requests that passed, for terminals that send the same bytes again.

Only what never changes is remembered: what the bytes parse to, that they agree with the signed
claims, which certificate verified the signature, and the members of the answer that come from
the claims. States, times and limits are judged anew (`check_again`). What did not pass is never
remembered, so nobody without a good license key can fill the memory.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from licenses.checking.check import Expected
from licenses.tokens import ParsedToken

MAX_REQUESTS = 4096
"""Requests that a process remembers, about 10 kB each; the one unused for longest goes first."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that passed: `certificate` (DER) verified it, `answer` is of its claims alone."""

    parsed: ParsedToken
    expected: Expected
    certificate: bytes
    answer: tuple[str, str]


_passed: OrderedDict[bytes, Passed] = OrderedDict()


def recall(body: bytes) -> Passed | None:
    """Return what is remembered of exactly these bytes."""
    found = _passed.get(body)
    if found is not None:
        with suppress(KeyError):  # Another thread has just dropped it.
            _passed.move_to_end(body)
    return found


def remember(body: bytes, passed: Passed) -> None:
    """Keep a request that passed, in place of the one unused for longest where it is full."""
    _passed[body] = passed
    with suppress(KeyError):  # Another thread was faster.
        if len(_passed) > MAX_REQUESTS:
            _passed.popitem(last=False)


def clear() -> None:
    """Forget everything."""
    _passed.clear()
