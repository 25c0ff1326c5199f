"""Counts of checks by terminals, gathered in memory and written in batches.

A check writes nothing itself: it would wait for the disk, and on SQLite for every other writer.
What a process has gathered is written every few seconds and when it stops; a crash loses no more
than that. The counts of several processes add up, because rows are incremented, never replaced.
"""

import atexit
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import batched
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from licenses.models import CheckCount
from portal.core.outages import is_outage
from portal.core.steps import remove_in_steps

logger = logging.getLogger("licenses.checking")

MAX_ROWS = 100_000
"""Rows that a process keeps while the database is unavailable; more are dropped, and logged."""

ROWS_PER_STATEMENT = 500
"""Rows that one statement writes."""

_ROW = "(%s, %s, %s, %s, %s, %s)"
_ADD = """
INSERT INTO licenses_checkcount AS kept (tenant_id, license_key_id, hour, result, count, last_at)
VALUES {rows}
ON CONFLICT (license_key_id, hour, result) DO UPDATE SET
    count = kept.count + excluded.count,
    last_at = CASE WHEN excluded.last_at > kept.last_at THEN excluded.last_at ELSE kept.last_at END
"""

type _Place = tuple[int, int, str]
"""Key, beginning of the hour (Unix time) and result: what is unique in the table."""

type _Counts = dict[_Place, tuple[uuid.UUID, int, int]]
"""Tenant, number of checks and time of the newest (Unix time), for each place."""


class CountedKey(Protocol):
    """What a count needs of a license key: its row, or what a check has read of it."""

    @property
    def pk(self) -> int:
        """The primary key of the row."""

    @property
    def tenant_id(self) -> uuid.UUID:
        """The tenant that the key belongs to."""


class _Gathered:
    """Counts that are not yet written, and the thread that writes them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: _Counts = {}
        self.dropped = 0
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, place: _Place, tenant_id: uuid.UUID, count: int, last_at: int) -> None:
        with self.lock:
            kept = self.counts.get(place)
            if kept is not None:
                self.counts[place] = (tenant_id, kept[1] + count, max(kept[2], last_at))
            elif len(self.counts) < MAX_ROWS:
                self.counts[place] = (tenant_id, count, last_at)
            else:
                self.dropped += count

    def take(self) -> _Counts:
        with self.lock:
            taken, self.counts = self.counts, {}
            dropped, self.dropped = self.dropped, 0
        if dropped:
            logger.error("%d checks were not counted: too many while nothing was written.", dropped)
        return taken

    def start(self) -> None:
        """Start the thread, once in each process: threads do not survive a fork."""
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="counting", daemon=True)
                self.thread.start()
                atexit.register(self.stop)

    def run(self) -> None:
        while not self.stopping.wait(settings.CHECK_COUNT_SECONDS):
            write()
        write()

    def stop(self) -> None:
        self.stopping.set()
        if self.thread is not None:
            self.thread.join(timeout=10)


_gathered = _Gathered()


def count(key: CountedKey, result: str, moment: datetime) -> None:
    """Count one check of a key that is on record; with CHECK_COUNT_SECONDS=0 write it at once.

    Of its time the whole seconds are kept.
    """
    second = int(moment.timestamp())
    _gathered.add((key.pk, second - second % 3600, str(result)), key.tenant_id, 1, second)
    if not settings.CHECK_COUNT_SECONDS:
        write()
    elif _gathered.thread is None:
        _gathered.start()


def write() -> None:
    """Write what this process has gathered; counts that an outage holds up are kept."""
    taken = _gathered.take()
    if not taken:
        return
    # In a fixed order, so that two processes never deadlock.
    places = sorted(taken)
    try:
        _write({place: taken[place] for place in places})
    finally:
        if threading.current_thread() is _gathered.thread:
            connection.close()


def _write(counts: _Counts) -> None:
    """Write these counts in one transaction; if one of them cannot be written, the others are."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for rows in batched(_values(counts), ROWS_PER_STATEMENT, strict=False):
                statement = _ADD.format(rows=", ".join([_ROW] * len(rows)))
                cursor.execute(statement, [value for row in rows for value in row])
    except Exception as error:
        if is_outage(error):
            logger.warning("Checks will be counted later: %s", type(error).__name__)
            for place, (tenant_id, counted, last_at) in counts.items():
                _gathered.add(place, tenant_id, counted, last_at)
        elif len(counts) == 1:
            [((key, hour, result), (_, counted, _))] = counts.items()
            begin = datetime.fromtimestamp(hour, UTC)
            logger.exception("%d checks of key %s (%s, %s) lost", counted, key, begin, result)
        else:
            places = list(counts)
            for half in (places[: len(places) // 2], places[len(places) // 2 :]):
                _write({place: counts[place] for place in half})


def prune(*, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove counts of hours more than CHECK_COUNT_DAYS ago; return how many.

    Each step is a short transaction, so that nobody waits for it; `stopped` is called in between.
    """
    before = (now or timezone.now()) - timedelta(days=settings.CHECK_COUNT_DAYS)
    old = CheckCount.objects.filter(hour__lt=before).order_by("hour")
    return remove_in_steps(old, stopped=stopped)


def _values(counts: _Counts) -> Iterator[tuple[Any, ...]]:
    native = connection.features.has_native_uuid_field

    @cache  # few times occur often
    def adapt(second: int) -> Any:
        return connection.ops.adapt_datetimefield_value(datetime.fromtimestamp(second, UTC))

    for (key, hour, result), (tenant_id, counted, last_at) in counts.items():
        tenant = tenant_id if native else tenant_id.hex
        yield tenant, key, adapt(hour), result, counted, adapt(last_at)
