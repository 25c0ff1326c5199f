"""What a process remembers of requests that passed, for terminals that send the same bytes again.

The newest verdict is remembered, with the row that it was made of, and the answer. The next request
reads the row again, and gets the same answer only if it is the same, and no time has come that
changes the verdict (`check_again`). Limits are judged anew. What did not pass is never remembered,
so nobody without a good license key can fill the memory.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from licenses.checking.check import Expected, Verdict

MAX_REQUESTS = 4096
"""Requests that a process remembers, about 10 kB each; the one unused for longest goes first."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that passed.

    `constant` has the members of the answer that come from the claims, `answer` all of them, each
    before and after what changes: the verdict, and the time of the check.
    """

    expected: Expected
    verdict: Verdict
    constant: tuple[str, str]
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
