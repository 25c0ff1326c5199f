"""Triggers that make the log append-only in the database, on SQLite and on PostgreSQL.

Rows are never changed, but for the columns PERSONAL, once each and up to the mark of an erasure
(`portal.activity.erasure`). They are removed only below the checkpoint of their tenant's LogChain,
which `manage.py prune_log` signs, and added only above its count. A LogChain begins empty. Its
count never falls, the head changes only with it, and checkpoint and mark only rise, with a new
signature. Triggers cannot verify a signature: `manage.py verify_log` does.

Django drops SQLite's triggers silently when a migration rebuilds the table, so they are installed
again after every `migrate`.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.activity.models import LogChain, LogEntry

TABLE, CHAINS = LogEntry._meta.db_table, LogChain._meta.db_table
PERSONAL = (
    "actor_id",
    "actor_name",
    "actor_email",
    "subscription_name",
    "reason",
    "details",
    "address",
    "seal",
)
"""The columns of a row that an erasure changes."""
LASTING = [f.column for f in LogEntry._meta.concrete_fields if f.column not in PERSONAL]
ROWS = "The log is append-only: its rows are never changed, removed or replaced."
CHAIN = "The log is append-only: its count never falls, its marks only rise, signed."
EMPTY = """
    NEW.count = 0
    AND NEW.head = ''
    AND NEW.kept_from = 1
    AND NEW.kept_previous = ''
    AND NEW.kept_signature = ''
    AND coalesce(NEW.erased_to, -1) = 0
    AND coalesce(NEW.erased_signature, '-') = ''
"""
FITS = """
    NEW.tenant_id = OLD.tenant_id
    AND (
        (NEW.count = OLD.count AND NEW.head = OLD.head)
        OR (NEW.count = OLD.count + 1 AND NEW.head <> OLD.head AND length(NEW.head) = 64)
    )
    AND (
        (
            NEW.kept_from = OLD.kept_from
            AND NEW.kept_previous = OLD.kept_previous
            AND NEW.kept_signature = OLD.kept_signature
        )
        OR (
            NEW.kept_from > OLD.kept_from
            AND NEW.kept_from <= NEW.count + 1
            AND NEW.kept_signature <> OLD.kept_signature
            AND length(NEW.kept_signature) = 64
        )
    )
    AND NEW.erased_to IS NOT NULL
    AND NEW.erased_signature IS NOT NULL
    AND (
        (NEW.erased_to = OLD.erased_to AND NEW.erased_signature = OLD.erased_signature)
        OR (
            NEW.erased_to > OLD.erased_to
            AND NEW.erased_to < NEW.count
            AND NEW.erased_signature <> OLD.erased_signature
            AND length(NEW.erased_signature) = 64
        )
    )
"""


def _erases(same: str) -> str:
    """Return the SQL for whether an UPDATE of a row is one of an erasure; `same` compares.

    Which rows an erasure may change, its mark says. The result is never NULL.
    """
    lasts = " AND ".join(f"NEW.{name} {same} OLD.{name}" for name in LASTING)
    return f"OLD.seal IS NULL AND NEW.seal IS NOT NULL AND length(NEW.seal) = 64 AND {lasts}"


# On SQLite an INSERT or UPDATE OR REPLACE removes a row without its DELETE trigger, so known rows
# are looked for first, by `rowid` too, which the key of LogChain is not. A chain that exists is
# left as it is: record() inserts one that may be there.
SQLITE = f"""
CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON {TABLE}
WHEN NEW.rowid <> OLD.rowid OR NOT ({_erases("IS")}) OR NOT EXISTS (
    SELECT 1 FROM {CHAINS} WHERE tenant_id = OLD.tenant_id AND erased_to >= OLD.seq
)
BEGIN SELECT RAISE(ABORT, '{ROWS}'); END;

CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON {TABLE}
WHEN NOT EXISTS (SELECT 1 FROM {CHAINS} WHERE tenant_id = OLD.tenant_id AND kept_from > OLD.seq)
BEGIN SELECT RAISE(ABORT, '{ROWS}'); END;

CREATE TRIGGER log_entry_no_replace BEFORE INSERT ON {TABLE}
WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM {TABLE} WHERE tenant_id = NEW.tenant_id AND seq = NEW.seq)
    OR EXISTS (SELECT 1 FROM {CHAINS} WHERE tenant_id = NEW.tenant_id AND count >= NEW.seq)
BEGIN SELECT RAISE(ABORT, '{ROWS}'); END;

CREATE TRIGGER log_chain_no_rewind BEFORE UPDATE ON {CHAINS}
WHEN NEW.rowid <> OLD.rowid OR NOT ({FITS})
BEGIN SELECT RAISE(ABORT, '{CHAIN}'); END;

CREATE TRIGGER log_chain_no_delete BEFORE DELETE ON {CHAINS}
BEGIN SELECT RAISE(ABORT, '{CHAIN}'); END;

CREATE TRIGGER log_chain_no_replace BEFORE INSERT ON {CHAINS}
BEGIN SELECT CASE
    WHEN EXISTS (SELECT 1 FROM {CHAINS} WHERE tenant_id = NEW.tenant_id) THEN RAISE(IGNORE)
    WHEN EXISTS (SELECT 1 FROM {CHAINS} WHERE rowid = NEW.rowid) OR NOT ({EMPTY})
        THEN RAISE(ABORT, '{CHAIN}')
END; END;
"""  # noqa: S608 (no foreign text in it)

# The functions name the schema: a temporary table of the same name would come first otherwise.
POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION log_entry_refuse() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT 1 FROM {{schema}}.{CHAINS} WHERE tenant_id = NEW.tenant_id AND count >= NEW.seq
        ) THEN RETURN NEW; END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF EXISTS (
            SELECT 1 FROM {{schema}}.{CHAINS}
            WHERE tenant_id = OLD.tenant_id AND kept_from > OLD.seq
        ) THEN RETURN OLD; END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        IF {_erases("IS NOT DISTINCT FROM")} AND EXISTS (
            SELECT 1 FROM {{schema}}.{CHAINS}
            WHERE tenant_id = OLD.tenant_id AND erased_to >= OLD.seq
        ) THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION '{ROWS}';
END $$;

CREATE OR REPLACE FUNCTION log_chain_refuse() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF {EMPTY} THEN RETURN NEW; END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        IF {FITS} THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION '{CHAIN}';
END $$;

CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_entry_no_replace BEFORE INSERT ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON {TABLE}
FOR EACH STATEMENT EXECUTE FUNCTION log_entry_refuse();

CREATE TRIGGER log_chain_no_rewind BEFORE UPDATE ON {CHAINS}
FOR EACH ROW EXECUTE FUNCTION log_chain_refuse();

CREATE TRIGGER log_chain_no_replace BEFORE INSERT ON {CHAINS}
FOR EACH ROW EXECUTE FUNCTION log_chain_refuse();

CREATE TRIGGER log_chain_no_delete BEFORE DELETE ON {CHAINS}
FOR EACH ROW EXECUTE FUNCTION log_chain_refuse();

CREATE TRIGGER log_chain_no_truncate BEFORE TRUNCATE ON {CHAINS}
FOR EACH STATEMENT EXECUTE FUNCTION log_chain_refuse();
"""  # noqa: S608 (no foreign text in it)

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "sqlite": {
        TABLE: ("log_entry_no_update", "log_entry_no_delete", "log_entry_no_replace"),
        CHAINS: ("log_chain_no_rewind", "log_chain_no_delete", "log_chain_no_replace"),
    },
    "postgresql": {
        TABLE: (
            "log_entry_no_update",
            "log_entry_no_delete",
            "log_entry_no_replace",
            "log_entry_no_truncate",
        ),
        CHAINS: (
            "log_chain_no_rewind",
            "log_chain_no_replace",
            "log_chain_no_delete",
            "log_chain_no_truncate",
        ),
    },
}
"""The triggers of each table."""


def install_triggers(*, using: str = "default", **_signal: Any) -> None:
    """Install the triggers that refuse to change or remove log rows; replace existing ones.

    Tables of an earlier migration keep those that they have.
    """
    connection = connections[using]
    if not tables_exist(connection):
        return
    remove_triggers(using=using)
    with connection.cursor() as cursor:
        for statement in _statements(cursor):
            cursor.execute(statement)


def remove_triggers(*, using: str = "default") -> None:
    """Allow every change and removal: for tests that flush their database."""
    connection = connections[using]
    if not tables_exist(connection):
        return
    with connection.cursor() as cursor:
        for table, names in NAMES[connection.vendor].items():
            suffix = f" ON {table}" if connection.vendor == "postgresql" else ""
            for name in names:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix}")


def missing_triggers(*, using: str = "default") -> list[str]:
    """Return the names of the triggers that are missing, switched off, or not of this release."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(FOUND[connection.vendor])
        found = dict(cursor.fetchall())
        wanted = "\n".join(_statements(cursor))
    return [
        name
        for names in NAMES[connection.vendor].values()
        for name in names
        if found.get(name, "missing") not in wanted
    ]


FOUND = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": f"""
        SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE tgenabled IN ('O', 'A')
            AND tgrelid IN (to_regclass('{TABLE}'), to_regclass('{CHAINS}'))
    """,  # noqa: S608 (no foreign text in it)
}
"""Queries for the triggers in the database: name, and what it does."""


def _statements(cursor: Any) -> list[str]:
    """Return the statements that make the triggers, and their functions, in this database."""
    statements = SQLITE
    if cursor.db.vendor == "postgresql":
        cursor.execute("SELECT quote_ident(current_schema())")
        statements = POSTGRESQL.format(schema=cursor.fetchone()[0])
    return [statement.rstrip(";") for statement in statements.strip().split(";\n\n")]


def tables_exist(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the database has the tables of the log, with the columns of this release."""
    if not {TABLE, CHAINS} <= set(connection.introspection.table_names()):
        return False
    with connection.cursor() as cursor:
        for model in (LogEntry, LogChain):
            cursor.execute(f"SELECT * FROM {model._meta.db_table} LIMIT 0")  # noqa: S608
            columns = {name for name, *_ in cursor.description}
            if not {field.column for field in model._meta.concrete_fields} <= columns:
                return False
    return True
