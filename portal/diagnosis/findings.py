"""What `manage.py doctor` finds, and how it looks at all parts of a set-up at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread
from time import monotonic

from django.db import Error, connection

from portal.server.conditions import NO_ANSWER
from portal.server.database import bound_queries
from portal.server.log_lines import plain

STEP_SECONDS = 2.0
"""Seconds that one connection, one answer or one query may take."""

PART_SECONDS = 6.0
"""Seconds after which a part that has not ended is given up; all parts are looked at together."""


class Mark(StrEnum):
    """How a finding is meant; only WRONG makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing about one part: `sentence` says what is, and what to do where something is."""

    mark: Mark
    sentence: str


@dataclass(frozen=True)
class Part:
    """A part of a set-up; `look` may raise what its libraries raise when something is away."""

    name: str
    look: Callable[[], Iterable[Finding]]


def ok(sentence: str) -> Finding:
    """Return a finding about what is as it should be."""
    return Finding(Mark.OK, sentence)


def warning(sentence: str) -> Finding:
    """Return a finding about what works, but not as it should."""
    return Finding(Mark.WARNING, sentence)


def wrong(sentence: str) -> Finding:
    """Return a finding about what does not work."""
    return Finding(Mark.WRONG, sentence)


def look_at(parts: Sequence[Part]) -> list[tuple[str, Finding]]:
    """Return what is found of every part, in their order, after PART_SECONDS at most.

    Each part is looked at in a thread of its own, so that none that hangs or fails hides another.
    """
    found: list[list[Finding]] = [[] for _ in parts]
    threads = [
        Thread(target=_look, args=(part, findings), daemon=True)
        for part, findings in zip(parts, found, strict=True)
    ]
    end = monotonic() + PART_SECONDS
    for thread in threads:
        thread.start()
    result: list[tuple[str, Finding]] = []
    for part, findings, thread in zip(parts, found, threads, strict=True):
        thread.join(max(0.0, end - monotonic()))
        result += [(part.name, finding) for finding in list(findings)]
        if thread.is_alive():
            late = f"Could not be looked at to its end within {PART_SECONDS:.0f} s."
            result.append((part.name, warning(late)))
    return result


def _look(part: Part, findings: list[Finding]) -> None:
    bound_queries(STEP_SECONDS)
    try:
        findings.extend(part.look())  # one by one: what comes before an error is told
    except Error:
        findings.append(warning(f"Could not be looked at. {NO_ANSWER}"))
    except Exception as error:  # noqa: BLE001 (whatever it is, the other parts are told of)
        findings.append(warning(f"Could not be looked at: {reason(error)}."))
    finally:
        connection.close()


def reason(error: Exception) -> str:
    """Return an error in a few words on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return plain(str(text)).rstrip(".")
