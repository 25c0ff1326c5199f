"""The test database: where it is, and how it is emptied between transactional tests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from django.core.management.color import no_style
from django.db import connection

from portal.activity.triggers import remove_triggers


def url() -> str:
    """Return the test database of this process as DATABASE_URL takes it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgresql://{settings['USER']}@{quote(settings['HOST'], safe='')}/{settings['NAME']}"


def prepare_flush() -> None:
    """Let the flush that follows a transactional test do its work.

    The triggers of the log refuse its DELETE; `post_migrate`, which the flush sends, puts them
    and the plans back. Sequences start again at 1, so that rows made by `post_migrate` keep
    their numbers: a running portal remembers those of content types.
    """
    remove_triggers()
    sequences = connection.introspection.sequence_list()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_by_name_sql(no_style(), sequences):
            cursor.execute(statement)


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
