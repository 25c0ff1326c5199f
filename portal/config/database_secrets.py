"""Whether the secrets of this process belong to its database: with others nothing is written.

A node with another LOG_KEY would write rows that read as tampered with, and one with other
KEY_ENCRYPTION_KEYS what no other node can decrypt. Apps register what they can compare; `serve`
and `run_worker` compare at their start, `/healthz/ready` each time it is asked, the worker with
every sign of life, and everything else before it first writes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from django.db import Error

from portal.core.unfit import UnfitNode

logger = logging.getLogger("portal.secrets")

AGAIN_SECONDS = 5
"""Seconds after which secrets that did not fit are compared again: the database may be another."""

QUIET_SECONDS = 60
"""Seconds between two lines in the log of one process about secrets that do not fit."""

type Comparison = Callable[[], str | None]
"""Compares one secret with the newest row it was used for.

Returns a sentence that names the variable and what to do; None when it fits, or when there is no
such row. Raises django.db.Error when the database is away.
"""


class SecretsDoNotFit(UnfitNode):
    """A secret of this process is not the one that the database was written with."""


@dataclass(frozen=True)
class _Verdict:
    at: float
    sentences: tuple[str, ...]


_comparisons: list[Comparison] = []
_verdict: _Verdict | None = None
_quiet_until = float("-inf")
_lock = Lock()


def register(comparison: Comparison) -> Comparison:
    """Let a secret be compared from now on."""
    _comparisons.append(comparison)
    return comparison


def compare(*, tells: bool = False) -> tuple[str, ...]:
    """Return why secrets do not fit, a sentence each, and remember it for `require`.

    With `tells` the log says it too, once in QUIET_SECONDS. Raises django.db.Error when the
    database is away or has no tables yet.
    """
    global _verdict  # noqa: PLW0603 (one process has one database)
    sentences = tuple(sentence for look in _comparisons if (sentence := look()) is not None)
    _verdict = _Verdict(monotonic(), sentences)
    if sentences and tells:
        _tell(" ".join(sentences))
    return sentences


def require() -> None:
    """Raise SecretsDoNotFit unless the secrets fitted the last time; compare them if need be.

    Every writer of what only the right secrets can read calls this. Raises django.db.Error when
    they were never compared and the database is away.
    """
    verdict = _verdict
    if verdict is not None and not verdict.sentences:
        return
    if verdict is None or monotonic() - verdict.at > AGAIN_SECONDS:
        sentences = compare(tells=True)
    else:
        sentences = verdict.sentences
    if sentences:
        raise SecretsDoNotFit(" ".join(sentences))


def refuse_at_start() -> None:
    """Raise SecretsDoNotFit where a process must not start; one may start without a database."""
    with suppress(Error):
        if sentences := compare():
            raise SecretsDoNotFit(" ".join(sentences))


@contextmanager
def overruled() -> Iterator[None]:
    """Let this process write whatever was found: an operator accepts a secret that does not fit."""
    global _verdict  # noqa: PLW0603 (one process has one database)
    _verdict = _Verdict(monotonic(), ())
    try:
        yield
    finally:
        _verdict = None


def _tell(sentence: str) -> None:
    global _quiet_until  # noqa: PLW0603 (as above)
    with _lock:
        if monotonic() < _quiet_until:
            return
        _quiet_until = monotonic() + QUIET_SECONDS
    logger.error("Nothing is written: %s", sentence)
