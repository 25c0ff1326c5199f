"""Work on another database, or in another role, than DATABASE_URL names; fail with a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from portal.core.refusal import Refused


@contextmanager
def connected(**changes: Any) -> Iterator[None]:
    """Let the default connection of this thread have other settings (keys of DATABASES)."""
    kept: Any = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = type(kept)(kept.settings_dict | changes, DEFAULT_DB_ALIAS)
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS].close()
        connections[DEFAULT_DB_ALIAS] = kept


@contextmanager
def as_owner() -> Iterator[None]:
    """Connect as the role that owns the tables, where MIGRATION_DATABASE_URL names it."""
    owner = getattr(settings, "MIGRATION_DATABASE", {})
    with connected(**owner) if owner else nullcontext():
        yield


@contextmanager
def as_command_errors(ending: str = "") -> Iterator[None]:
    """Turn refusals, and what the database and the disk say, into a sentence and status 1."""
    try:
        yield
    except Refused as refusal:
        raise CommandError(f"{refusal.sentence}{ending}") from refusal
    except DatabaseError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise CommandError(f"The database refuses, or is away: {why}.{ending}") from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.{ending}") from error
