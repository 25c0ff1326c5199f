"""The role that owns the tables: `migrate` and `prune_log` connect as it, nothing else does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connection, connections
from psycopg import sql
from psycopg.errors import InsufficientPrivilege


@contextmanager
def as_owner() -> Iterator[None]:
    """Let this thread connect as the role in MIGRATION_DATABASE_URL, where it is set.

    Raises CommandError when the role that is used may not do what is asked of it.
    """
    kept: Any = connections[DEFAULT_DB_ALIAS]
    if settings.MIGRATION_DATABASE:
        kept.close()
        owner = kept.settings_dict | settings.MIGRATION_DATABASE
        connections[DEFAULT_DB_ALIAS] = type(kept)(owner, DEFAULT_DB_ALIAS)
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        raise CommandError(
            f"PostgreSQL refused: {str(error).splitlines()[0]}. Set MIGRATION_DATABASE_URL to the "
            "role that owns the tables (docs/postgresql.md)."
        ) from error
    finally:
        if settings.MIGRATION_DATABASE:
            connections[DEFAULT_DB_ALIAS].close()
            connections[DEFAULT_DB_ALIAS] = kept


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
