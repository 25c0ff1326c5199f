"""Let this thread work on another database, or in another role, than DATABASE_URL names."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


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
