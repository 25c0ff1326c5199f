"""What a node needs to serve, as far as it can look at it within a second."""

import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, Error, connection
from django.db.migrations.loader import MigrationLoader

from portal.config import database_secrets
from portal.core import clock
from portal.core.outages import is_outage

MIN_FREE_BYTES = 64 * 1024 * 1024
"""Free bytes on the file system of DATA_DIR, or of the SQLite file, below which a node is not
ready."""

NO_ANSWER = "The database does not answer."

type Migration = tuple[str, str]
"""App and name."""


def why_not_ready() -> Iterator[str]:
    """Yield what keeps this node from serving, one sentence each."""
    yield from _full_disks()
    try:
        missing, _ = migrations()
        if missing:
            yield missing_sentence(missing)
            return
        yield from wrong_clock(seconds_ahead())
        yield from database_secrets.compare(tells=True)
    except Error:
        yield NO_ANSWER
    except ImproperlyConfigured as error:  # the demonstration's accounts, found on connecting
        yield str(error)


def missing_sentence(missing: list[Migration]) -> str:
    """Return what is said about migrations that are not applied."""
    first = ".".join(missing[0])
    how_many = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
    return f"{how_many} not applied, the first is {first}: run `manage.py migrate`."


def migrations() -> tuple[list[Migration], list[Migration]]:
    """Return the migrations of this release that are not applied, and those it does not know.

    Raises django.db.Error when the database is away.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except DatabaseError as error:
        if is_outage(error):
            raise
        applied = set()  # no such table: it was never migrated
    released = _released()
    ours = {app for app, _ in released}
    unknown = sorted(each for each in applied - released if each[0] in ours)
    return sorted(released - applied), unknown


@lru_cache(maxsize=1)
def _released() -> frozenset[Migration]:
    """Return the migrations of this release by the names of their files, without loading them."""
    found = set[Migration]()
    for config in apps.get_app_configs():
        package, _ = MigrationLoader.migrations_module(config.label)
        if package is None or not (Path(config.path) / "migrations").is_dir():
            continue
        found |= {
            (config.label, module.name)
            for module in iter_modules(import_module(package).__path__)
            if not module.ispkg and module.name[0] not in "_~"
        }
    return frozenset(found)


def wrong_clock(ahead: float | None) -> Iterator[str]:
    """Yield a sentence when the clock differs by too much."""
    if ahead is not None and (sentence := clock.too_far(ahead)):
        yield sentence


def seconds_ahead() -> float | None:
    """Return by how many seconds this machine's clock is ahead of the database's.

    None for SQLite, whose clock is the same. Raises django.db.Error.
    """
    if connection.vendor != "postgresql":
        return None
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        [database] = cursor.fetchone()
    return clock.seconds_ahead(before, float(database), time.time())


def folders() -> dict[str, Path]:
    """Return the folders that this process writes to, by what they are."""
    found = {"DATA_DIR": Path(settings.DATA_DIR)}
    if connection.vendor == "sqlite":
        found["the SQLite file"] = Path(settings.DATABASES["default"]["NAME"]).parent
    return found


def free_bytes(folder: Path) -> int:
    """Return how many bytes this process may still write there. Raises OSError."""
    return shutil.disk_usage(folder).free


def _full_disks() -> Iterator[str]:
    for what, folder in folders().items():
        try:
            free = free_bytes(folder)
        except OSError as error:
            yield f"The folder of {what} cannot be looked at: {error.strerror}."
        else:
            if free < MIN_FREE_BYTES:
                yield f"The disk of {what} has {free // 2**20} MiB left: make room on it."
