"""Copy an SQLite database while others write, and put a copy in place."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from django.db import connection

from portal.core.refusal import Refused
from portal.server.owner import connected

FILE = "portal.sqlite3"


@contextmanager
def dumped(file: Path) -> Iterator[None]:
    """Write a copy of the database; within the block the default connection reads the copy.

    The online backup API copies one snapshot: in WAL mode its read transaction makes no writer
    wait, and the copy never starts over however much is written meanwhile, as it would without
    that transaction. VACUUM INTO reads a snapshot too, but builds the file anew, which takes
    several times the work. Raises Refused when the copy is not whole.
    """
    source = Path(str(connection.settings_dict["NAME"]))
    if not source.is_file():
        raise Refused(f"There is no database at {source}: set DATABASE_URL or DATA_DIR.")
    with closing(_open_to_read(source)) as database, closing(sqlite3.connect(file)) as copy:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        copy.execute("PRAGMA synchronous = OFF")  # it is synchronised once, when it is complete
        database.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no other to be read
    with opened(file):
        refuse_damage()
        yield


@contextmanager
def opened(file: Path) -> Iterator[None]:
    """Let the default connection read the file, and write nothing."""
    options = {"init_command": "PRAGMA query_only = ON"}
    with connected(NAME=f"file:{quote(str(file.absolute()))}?mode=ro", OPTIONS=options):
        yield


@contextmanager
def restored(file: Path) -> Iterator[None]:
    """Put the copy where the database belongs when the block ends, or nothing when it raises.

    Within the block the default connection reads and writes it. Raises Refused when it is not
    whole, or when there is a database already.
    """
    target = Path(str(connection.settings_dict["NAME"]))
    _refuse_occupied(target)
    new = target.with_name(f".{target.name}.restoring")
    try:
        shutil.copyfile(file, new)
        new.chmod(0o600)
        options = {"init_command": "PRAGMA foreign_keys = ON", "transaction_mode": "IMMEDIATE"}
        with connected(NAME=str(new), OPTIONS=options):
            refuse_damage()
            yield
        synchronise(new)
        try:
            os.link(new, target)  # which never replaces a file, as a rename would
        except FileExistsError:
            raise Refused(_OCCUPIED.format(target)) from None
    finally:
        new.unlink(missing_ok=True)
        new.with_name(f"{new.name}-journal").unlink(missing_ok=True)
    synchronise(target.parent)


def refuse_damage() -> None:
    """Raise Refused unless the default connection's file passes SQLite's own examination."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check(1)")
        [found] = cursor.fetchone()
        cursor.execute("PRAGMA foreign_key_check")
        orphan = cursor.fetchone()
    if found != "ok":
        raise Refused(f"The database is damaged: {found.splitlines()[-1]}.")
    if orphan:
        raise Refused(f"The database is damaged: a row of {orphan[0]} names one that is not there.")


def version() -> str:
    """Return the version of SQLite."""
    return sqlite3.sqlite_version


def synchronise(path: Path) -> None:
    """Return once the file or folder would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_OCCUPIED = (
    "{} exists already, and a backup is restored into an empty place only: move it away, or set "
    "DATABASE_URL or DATA_DIR to another place."
)


def _refuse_occupied(target: Path) -> None:
    # A write-ahead log that was left behind would be played into the new file.
    for path in (target, *(target.with_name(f"{target.name}-{end}") for end in ("wal", "shm"))):
        if path.exists():
            raise Refused(_OCCUPIED.format(path))


def _open_to_read(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
