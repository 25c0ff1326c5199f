"""The role that owns the tables: `migrate`, `prune_log`, `backup` and `restore` connect as it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connection, connections
from psycopg import sql
from psycopg.errors import InsufficientPrivilege


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
    """Let this thread connect as the role in MIGRATION_DATABASE_URL, where it is set.

    Raises CommandError when the role that is used may not do what is asked of it.
    """
    owner = settings.MIGRATION_DATABASE
    try:
        with connected(**owner) if owner else nullcontext():
            yield
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        raise CommandError(
            f"PostgreSQL refused: {str(error).splitlines()[0]}. Set MIGRATION_DATABASE_URL to the "
            "role that owns the tables (docs/postgresql.md)."
        ) from error


def keep_time_outs() -> None:
    """Store DATABASE_TIME_OUTS with the role of DATABASE_URL, for this database.

    A role may do that for itself. PgBouncer takes none at the start of a connection, and one that
    is set later would stay for whoever gets the connection next.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        [database] = cursor.fetchone()
        for name, seconds in settings.DATABASE_TIME_OUTS.items():
            cursor.execute(
                sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(database), sql.Identifier(name), sql.Literal(f"{seconds}s")
                )
            )
