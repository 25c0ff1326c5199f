"""Triggers that make the log append-only in the database, on SQLite and on PostgreSQL.

Django drops SQLite's triggers silently when a migration rebuilds the table, so they are put in
place again after every `migrate`.
"""

from typing import Any

from django.db import connections

from portal.models import LogEntry

NAMES = {"UPDATE": "log_entry_no_update", "DELETE": "log_entry_no_delete"}
SENTENCE = "The log is append-only: its rows are never changed or removed."


def install_triggers(*, using: str = "default", **_signal: Any) -> None:
    """Refuse UPDATE and DELETE of log rows; does nothing where the triggers exist."""
    remove_triggers(using=using)
    connection = connections[using]
    table = LogEntry._meta.db_table
    if table not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION log_entry_refuse() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$"
            )
        for event, name in NAMES.items():
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {table} "
                    "FOR EACH ROW EXECUTE FUNCTION log_entry_refuse()"
                )
            else:
                cursor.execute(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
                )


def remove_triggers(*, using: str = "default") -> None:
    """Let rows be removed: for retention, and for tests that flush their database."""
    connection = connections[using]
    table = LogEntry._meta.db_table
    if table not in connection.introspection.table_names():
        return
    suffix = f" ON {table}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in NAMES.values():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix}")
