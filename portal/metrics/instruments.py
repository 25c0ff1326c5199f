"""Everything that the processes of a node count and time for `/metrics`, all in sight.

What is counted on the way of a check may cost a microsecond, so it is plain numbers in memory;
`portal.metrics.node` adds those of all processes up. No label may name a tenant, and each has a
bounded number of values.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

type Labels = tuple[str, ...]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of every histogram, in seconds; what took longer has one more."""


class Instrument:
    """A row of numbers for each combination of label values; any thread may add to it.

    A counter has rows of one number, a histogram its sum and then the number of each bucket.
    """

    length = 1

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self.name, self.meaning, self.labels = f"license_portal_{name}", meaning, labels
        self._rows: dict[Labels, list[float]] = {} if labels else {(): [0.0] * self.length}
        self._lock = threading.Lock()
        INSTRUMENTS.append(self)

    def rows(self) -> dict[Labels, list[float]]:
        """Return a copy of all rows."""
        with self._lock:
            return {labels: list(row) for labels, row in self._rows.items()}

    def count_on(self, rows: Iterable[tuple[Iterable[str], list[float]]]) -> None:
        """Add what another process has counted."""
        with self._lock:
            self.add_rows(self._rows, rows)

    def add_rows(
        self, sums: dict[Labels, list[float]], rows: Iterable[tuple[Iterable[str], list[float]]]
    ) -> None:
        """Add rows to `sums`; what another release counted in another shape is left out."""
        for given, row in rows:
            labels = tuple(given)
            if len(labels) == len(self.labels) and len(row) == self.length:
                kept = sums.get(labels) or [0.0] * self.length
                sums[labels] = [a + b for a, b in zip(kept, row, strict=True)]


class Counter(Instrument):
    """How often something has happened."""

    def add(self, *labels: str, count: float = 1) -> None:
        """Count something, `count` times; the labels are those of the instrument, in order."""
        with self._lock:
            row = self._rows.get(labels)
            if row is None:
                row = self._rows[labels] = [0.0]
            row[0] += count


class Histogram(Instrument):
    """How long something has taken."""

    length = len(SECONDS) + 2

    def observe(self, seconds: float, *labels: str) -> None:
        """Note one duration; the labels are those of the instrument, in order."""
        with self._lock:
            row = self._rows.get(labels)
            if row is None:
                row = self._rows[labels] = [0.0] * self.length
            row[0] += seconds
            row[bisect_left(SECONDS, seconds) + 1] += 1

    @contextmanager
    def time(self, *labels: str) -> Iterator[None]:
        """Note how long what is inside takes, unless it fails."""
        begun = perf_counter()
        yield
        self.observe(perf_counter() - begun, *labels)


INSTRUMENTS: list[Instrument] = []
"""All of them, in the order of this module."""

REQUESTS = Histogram(
    "http_request_duration_seconds",
    "From the arrival of a whole request to its whole answer.",
    "route",
    "status",
)
"""Shown as a histogram by route, and as `license_portal_http_requests_total` by both."""

CHECKS = Counter("terminal_checks_total", "Checks by terminals that were judged.", "result")
SIGNING = Histogram("signing_duration_seconds", "Signing one license key or status list (RSA).")
LOOP_LAG = Histogram("event_loop_lag_seconds", "How long the event loop takes to begin a task.")
POOL_TIMEOUTS = Counter(
    "database_pool_timeouts_total", "Requests that got no database connection in time."
)
CACHE_ERRORS = Counter("cache_errors_total", "Times that the shared cache did not answer.")
LOG_LINES_DROPPED = Counter(
    "access_log_lines_dropped_total", "Lines of the access log that nobody took in time."
)
EVENTS = Counter("events_total", "Rows of all logs, by what they record.", "action")
