"""Counts of checks by terminals, gathered in memory and written in batches.

A check writes nothing itself: it would wait for the disk, and on SQLite for every other writer.
What a process has gathered is written every few seconds and when it stops; a crash loses no more
than that. Many processes add up, because a row is added to and never replaced.
"""

import atexit
import logging
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import batched
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, transaction
from django.db.utils import DatabaseError

logger = logging.getLogger("licenses.counting")

MAX_ROWS = 100_000
"""Rows that a process keeps while the database is away; more are told in the log and dropped."""

ROWS_PER_STATEMENT = 500
"""Rows of one statement."""

_ROW = "(%s, %s, %s, %s, %s, %s)"
_ADD = """
INSERT INTO licenses_checkcount AS kept (tenant_id, license_key_id, hour, result, count, last_at)
VALUES {rows}
ON CONFLICT (license_key_id, hour, result) DO UPDATE SET
    count = kept.count + excluded.count,
    last_at = CASE WHEN excluded.last_at > kept.last_at THEN excluded.last_at ELSE kept.last_at END
"""

type _Place = tuple[int, datetime, str]
"""Key, hour and result: what is unique in the table."""


class CountedKey(Protocol):
    """What is counted: a license key's row, or what a check has read of it."""

    @property
    def pk(self) -> int:
        """Its number."""

    @property
    def tenant_id(self) -> uuid.UUID:
        """Whose it is."""


class _Gathered:
    """What was counted and not yet written, and the thread that writes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[_Place, tuple[uuid.UUID, int, datetime]] = {}
        self.dropped = 0
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, place: _Place, tenant_id: uuid.UUID, count: int, last_at: datetime) -> None:
        with self.lock:
            kept = self.counts.get(place)
            if kept is not None:
                self.counts[place] = (tenant_id, kept[1] + count, max(kept[2], last_at))
            elif len(self.counts) < MAX_ROWS:
                self.counts[place] = (tenant_id, count, last_at)
            else:
                self.dropped += count

    def take(self) -> dict[_Place, tuple[uuid.UUID, int, datetime]]:
        with self.lock:
            taken, self.counts = self.counts, {}
            dropped, self.dropped = self.dropped, 0
        if dropped:
            logger.error("%d checks were not counted: too many while nothing was written.", dropped)
        return taken

    def start(self) -> None:
        """Start the thread in this process, once: it would not survive a fork."""
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
    """Count one check of a key that is on record; with CHECK_COUNT_SECONDS=0 write it at once."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    _gathered.add((key.pk, hour, str(result)), key.tenant_id, 1, moment)
    if not settings.CHECK_COUNT_SECONDS:
        write()
    elif _gathered.thread is None:
        _gathered.start()


def write() -> None:
    """Write what this process has gathered; what cannot be written now is kept for later."""
    taken = _gathered.take()
    if not taken:
        return
    try:
        # In one order, so that two processes never wait for each other.
        with transaction.atomic(), connection.cursor() as cursor:
            for rows in batched(_values(taken), ROWS_PER_STATEMENT, strict=False):
                statement = _ADD.format(rows=", ".join([_ROW] * len(rows)))
                cursor.execute(statement, [value for row in rows for value in row])
    except DatabaseError as error:
        logger.warning("Checks will be counted later: %s", type(error).__name__)
        for place, (tenant_id, counted, last_at) in taken.items():
            _gathered.add(place, tenant_id, counted, last_at)
    finally:
        if threading.current_thread() is _gathered.thread:
            connection.close()


def _values(taken: dict[_Place, tuple[uuid.UUID, int, datetime]]) -> Iterator[tuple[Any, ...]]:
    native = connection.features.has_native_uuid_field
    adapt = connection.ops.adapt_datetimefield_value
    for (key, hour, result), (tenant_id, counted, last_at) in sorted(taken.items()):
        tenant = tenant_id if native else tenant_id.hex
        yield tenant, key, adapt(hour), result, counted, adapt(last_at)
