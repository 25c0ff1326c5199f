"""Triggers that make the log append-only in the database, on SQLite and on PostgreSQL.

One exception: rows below the checkpoint that retention has signed into the tenant's LogChain
(`manage.py prune_log`) may be removed. Whoever moves the checkpoint without the key is found by
`manage.py verify_log`.

Django drops SQLite's triggers silently when a migration rebuilds the table, so they are put in
place again after every `migrate`.
"""

from typing import Any

from django.db import connections

from portal.activity.models import LogChain, LogEntry

TABLE, CHAINS = LogEntry._meta.db_table, LogChain._meta.db_table
NAMES = ["log_entry_no_update", "log_entry_no_delete", "log_entry_no_truncate"]
SENTENCE = "The log is append-only: its rows are never changed or removed."
IS_PRUNED = (
    f"EXISTS (SELECT 1 FROM {CHAINS} WHERE tenant_id = OLD.tenant_id AND kept_from > OLD.seq)"  # noqa: S608 (no foreign text in it)
)
SQLITE = f"""
CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON {TABLE}
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END;

CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON {TABLE} WHEN NOT {IS_PRUNED}
BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END;
"""
POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION log_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF {IS_PRUNED} THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION '{SENTENCE}';
END $$;

CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON {TABLE}
FOR EACH STATEMENT EXECUTE FUNCTION log_entry_refuse();
"""


def install_triggers(*, using: str = "default", **_signal: Any) -> None:
    """Refuse to change or remove log rows; replaces the triggers that are there."""
    remove_triggers(using=using)
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    statements = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    with connection.cursor() as cursor:
        for statement in statements.strip().split("\n\n"):
            cursor.execute(statement)


def remove_triggers(*, using: str = "default") -> None:
    """Let everything be removed: for tests that flush their database."""
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    suffix = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in NAMES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix}")
