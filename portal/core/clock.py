"""The clock of this machine against the database's: times in keys and log rows are the node's."""

import logging
from threading import Lock
from time import monotonic

from portal.core.unfit import UnfitNode

logger = logging.getLogger("portal.clock")

MAX_CLOCK_SECONDS = 60
"""Seconds by which both may differ; beyond that a node writes nothing and is not ready."""

QUIET_SECONDS = 60
"""Seconds between two lines in the log of one process about its clock."""


class WrongClock(UnfitNode):
    """The clock of this machine is too far from the database's."""


def seconds_ahead(before: float, database: float, after: float) -> float:
    """Return by how many seconds this machine is ahead of the database, negative if behind.

    `before` and `after` are its own times around the question; what lies between them is no
    difference. All are seconds since 1970.
    """
    return max(before - database, 0) or min(after - database, 0)


def too_far(ahead: float) -> str | None:
    """Return a sentence when the clock differs by more than MAX_CLOCK_SECONDS."""
    if abs(ahead) <= MAX_CLOCK_SECONDS:
        return None
    where = "ahead of" if ahead > 0 else "behind"
    return (
        f"The clock of this machine is {abs(ahead):.0f} s {where} the database's: set both by NTP."
    )


def refuse_wrong_clock(ahead: float) -> None:
    """Raise WrongClock, and tell the log once in QUIET_SECONDS."""
    global _quiet_until  # noqa: PLW0603 (one process has one clock)
    sentence = too_far(ahead)
    if sentence is None:
        return
    with _lock:
        if monotonic() >= _quiet_until:
            _quiet_until = monotonic() + QUIET_SECONDS
            logger.error("Nothing is written: %s", sentence)
    raise WrongClock(sentence)


_quiet_until = float("-inf")
_lock = Lock()
