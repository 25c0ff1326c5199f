"""Make a backup: a folder with the database and a manifest, complete or not there at all."""

import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection

from licenses.store import manifest, postgresql, sqlite
from portal.core.refusal import Refused

NAME = re.compile(r"portal-\d{8}T\d{6}Z")
PARTIAL = ".partial"


def back_up(parent: Path, *, now: datetime) -> Path:
    """Write a backup into a new folder below `parent`, and return that folder.

    Nothing waits for it: the data is that of one moment while the portal goes on writing. Raises
    Refused, and leaves nothing behind, when the folder cannot be written or the disk is full.
    """
    place = sqlite if connection.vendor == "sqlite" else postgresql
    done = parent / f"portal-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    with _partial(done) as folder:
        with place.dumped(folder / place.FILE):
            draft = manifest.drafted(now=now, version=place.version())
        sha256 = manifest.sha256_of(folder / place.FILE)
        replace(draft, files={place.FILE: sha256}).write(folder)
    return done


def remove_older(parent: Path, *, keep: int) -> list[Path]:
    """Remove all but the newest `keep` complete backups below `parent`; return those removed."""
    complete = sorted(
        path
        for path in parent.iterdir()
        if NAME.fullmatch(path.name) and (path / manifest.FILE).is_file()
    )
    removed = complete[:-keep]
    for folder in removed:
        (folder / manifest.FILE).unlink()  # first: what is left is no complete backup
        shutil.rmtree(folder)
    return removed


@contextmanager
def _partial(done: Path) -> Iterator[Path]:
    """Yield a folder, closed to others, that becomes `done` when the block ends without an error.

    Another one that a killed process left there is removed: only a living one holds its lock.
    """
    folder, umask = done.with_name(f".{done.name}{PARTIAL}"), os.umask(0o077)
    try:
        done.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(done.parent)
        folder.mkdir()
        with _locked(folder):
            try:
                if done.exists():
                    raise Refused(f"{done} exists already: another backup began in this second.")
                yield folder
                for path in (*folder.iterdir(), folder):
                    sqlite.synchronise(path)
                folder.rename(done)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        sqlite.synchronise(done.parent)
    except OSError as error:
        place = error.filename or done.parent
        raise Refused(f"The backup cannot be written: {place}: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise Refused(f"The backup cannot be written into {done.parent}: {error}.") from error
    finally:
        os.umask(umask)


def _remove_orphans(parent: Path) -> None:
    for folder in parent.glob(f".portal-*{PARTIAL}"):
        try:
            with _locked(folder):
                shutil.rmtree(folder)
        except BlockingIOError:
            continue


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raises BlockingIOError while another process does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
