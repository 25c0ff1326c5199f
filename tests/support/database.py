"""The test database: where it is, and how it is emptied between transactional tests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Model

from portal.activity.triggers import install_triggers, remove_triggers
from tests.support.postgres import ROLE


def url() -> str:
    """Return the test database of this process as DATABASE_URL takes it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgresql://{ROLE}@{quote(settings['HOST'], safe='')}/{settings['NAME']}"


def connect_as(role: str) -> None:
    """Let every connection of this process have the rights of this role on PostgreSQL."""
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"]["options"] += f" -c role={role}"
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL has it


@contextmanager
def as_owner() -> Iterator[None]:
    """Let this connection have the rights of the tables' owner, inside a transaction too."""
    is_postgresql = connection.vendor == "postgresql"
    if is_postgresql:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE NONE")
    try:
        yield
    finally:
        if is_postgresql and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {ROLE}")


class Seed:
    """The rows that `migrate` leaves behind, such as plans, groups and content types.

    `restore()` empties the database down to them after a transactional test. Django's flush sends
    `post_migrate` instead, which makes all of them anew: thirty times the work.
    """

    def __init__(self) -> None:
        tables = connection.introspection.django_table_names(
            only_existing=True, include_views=False
        )
        self.rows = {table: self._read(table) for table in tables}
        self.guarded = [
            model._meta.db_table for model in apps.get_app_config("portal").get_models()
        ]

    def restore(self) -> None:
        changed = [table for table in self.rows if self._read(table) != self.rows[table]]
        if not changed:
            return
        if connection.vendor == "sqlite":
            with connection.constraint_checks_disabled():
                self._write(changed)
            return
        with transaction.atomic(), connection.cursor() as cursor:
            # As the owner, with neither triggers nor foreign keys, until the transaction ends.
            cursor.execute("SET LOCAL ROLE NONE")
            cursor.execute("SET LOCAL session_replication_role = replica")
            self._write(changed)

    def _read(self, table: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
            return cursor.fetchall()

    def _write(self, tables: list[str]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            is_guarded = connection.vendor == "sqlite" and not set(tables).isdisjoint(self.guarded)
            if is_guarded:
                remove_triggers()
            for table in tables:
                cursor.execute(f'DELETE FROM "{table}"')
                if rows := self.rows[table]:
                    values = ", ".join(["%s"] * len(rows[0]))
                    cursor.executemany(f'INSERT INTO "{table}" VALUES ({values})', rows)
            if is_guarded:
                install_triggers()


def copies(row: Model, count: int, **expressions: str) -> None:
    """Insert copies of a stored row, by one statement: rows by the thousand are slow to make.

    `expressions` are what columns get in SQL, where `n` is 1, 2, … `count`; `id` is one of them
    or left to the database.
    """
    table, key = row._meta.db_table, row._meta.pk
    columns = [
        field.column
        for field in row._meta.concrete_fields
        if field != key or field.column in expressions
    ]
    values = ", ".join(expressions.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH RECURSIVE number(n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < %s)
            INSERT INTO "{table}" ({names}) SELECT {values} FROM "{table}" CROSS JOIN number
            WHERE "{table}"."{key.column}" = %s""",
            [count, key.get_db_prep_value(row.pk, connection)],
        )


def later(column: str, seconds: str) -> str:
    """Return the SQL for a moment that is so many seconds (SQL) after the one in the column."""
    if connection.vendor == "sqlite":
        return f"strftime('%Y-%m-%d %H:%M:%S', {column}, '+' || ({seconds}) || ' seconds')"
    return f"{column} + ({seconds}) * interval '1 second'"


def numbered_uuid(number: str) -> str:
    """Return the SQL for the UUID with this number (SQL) in its last digits."""
    if connection.vendor == "sqlite":
        return f"printf('%032x', {number})"
    return f"lpad(to_hex({number}), 32, '0')::uuid"


def plan_of(sql: str) -> str:
    """Return the database's plan of a statement; what belongs to a subquery is indented."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return "\n".join(
                f"{'  ' if parent else ''}{step}" for _, parent, _, step in cursor.fetchall()
            )
        cursor.execute(f"EXPLAIN (COSTS OFF) {sql}")
        # A condition stands in a line below its search: put them together.
        return re.sub(r"\n +(Index Cond)", r" \1", "\n".join(row[0] for row in cursor.fetchall()))


@contextmanager
def held_by_a_writer(table: str) -> Iterator[None]:
    """Let another connection hold the table's write lock; who waits for it gives up at once."""
    other = connection.copy()
    is_sqlite = connection.vendor == "sqlite"
    holder = other.cursor()
    try:
        holder.execute(
            "BEGIN IMMEDIATE" if is_sqlite else f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE"
        )
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout=1" if is_sqlite else "SET lock_timeout = '1ms'")
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        other.close()
        connection.close()
        if not is_sqlite:  # whichever connection got the setting, it does not come back
            connection.close_pool()  # type: ignore[attr-defined]
