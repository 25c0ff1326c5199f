"""System checks of how well the database guards the log."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import connections
from django.db.utils import DatabaseError

from portal.activity.triggers import CHAINS, TABLE, missing_triggers, tables_exist

SUPERUSER = "is a superuser"
POWERS = """
WITH tables AS (
    SELECT oid, relname, relnamespace, pg_has_role(current_user, relowner, 'MEMBER') AS is_owned,
        oid IN (to_regclass(%(table)s), to_regclass(%(chains)s)) AS is_log
    FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
)
SELECT 'is a superuser', 'change everything'
FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT 'owns the table ' || relname, 'switch off what guards the log'
FROM tables WHERE is_log AND is_owned
UNION ALL
SELECT 'owns ' || count(*) || ' other tables', 'drop them'
FROM tables WHERE NOT is_log AND is_owned HAVING count(*) > 0
UNION ALL
SELECT 'may alter the table ' || relname, 'switch off what guards the log'
FROM tables WHERE is_log AND NOT is_owned AND has_table_privilege(oid, 'TRUNCATE, TRIGGER')
UNION ALL
SELECT 'may remove rows of the table ' || relname, 'shorten the log'
FROM tables WHERE is_log AND NOT is_owned AND has_table_privilege(oid, 'DELETE')
UNION ALL
SELECT 'owns the schema ' || nspname, 'drop the log'
FROM pg_namespace
WHERE oid IN (SELECT relnamespace FROM tables) AND pg_has_role(current_user, nspowner, 'MEMBER')
UNION ALL
SELECT DISTINCT 'owns the function ' || proname, 'switch off what guards the log'
FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN tables ON tables.oid = tgrelid
WHERE is_log AND NOT tgisinternal AND pg_has_role(current_user, proowner, 'MEMBER')
ORDER BY 1
"""
"""What the current role may do that the portal need not, and what comes of it.

The owner of a schema may drop all that is in it; `public` belongs to the owner of the database.
"""


@register(Tags.database)
def log_is_guarded(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn when triggers of the log are missing, or when the portal's role may switch them off."""
    found = list[CheckMessage]()
    for using in databases or []:
        try:
            if tables_exist(connections[using]):
                found += _triggers(using)
                if not settings.DEMONSTRATION and connections[using].vendor == "postgresql":
                    found += _powers(using)
        except DatabaseError:  # it is away: other checks and the portal itself report it
            continue
    return found


def _triggers(using: str) -> list[CheckMessage]:
    missing = missing_triggers(using=using)
    if not missing:
        return []
    return [
        checks.Warning(
            "Triggers that guard the log are missing, switched off or not of this release: "
            f"{', '.join(missing)}.",
            hint="Run `manage.py migrate`, which puts them back or says why it cannot, and "
            "`manage.py verify_log`.",
            id="portal.W002",
        )
    ]


def _powers(using: str) -> list[CheckMessage]:
    with connections[using].cursor() as cursor:
        cursor.execute(POWERS, {"table": TABLE, "chains": CHAINS})
        rows = dict(cursor.fetchall())
    if SUPERUSER in rows:  # who owns everything, too
        rows = {SUPERUSER: rows[SUPERUSER]}
    return [
        checks.Warning(
            f"The portal's database role {power}, so it can {consequence}.",
            hint="Let another role own the database, set MIGRATION_DATABASE_URL to it and run "
            "`manage.py migrate`: docs/postgresql.md.",
            id="portal.W003",
        )
        for power, consequence in rows.items()
    ]
