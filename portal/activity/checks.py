"""System checks of how well the database guards the log."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import connections
from django.db.utils import DatabaseError

from portal.activity.triggers import CHAINS, TABLE, missing_triggers, tables_exist

# The owner of a schema may drop all that is in it; `public` belongs to the owner of the database.
POWERS = """
SELECT 'the table ' || relname, pg_has_role(current_user, relowner, 'MEMBER'),
    has_table_privilege(oid, 'TRUNCATE') OR has_table_privilege(oid, 'TRIGGER')
FROM pg_class WHERE oid IN (to_regclass(%(table)s), to_regclass(%(chains)s))
UNION ALL
SELECT 'the schema ' || nspname, pg_has_role(current_user, nspowner, 'MEMBER'), false
FROM pg_namespace
WHERE oid IN (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%(table)s))
UNION ALL
SELECT DISTINCT 'the function ' || proname, pg_has_role(current_user, proowner, 'MEMBER'), false
FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE tgrelid IN (to_regclass(%(table)s), to_regclass(%(chains)s)) AND NOT tgisinternal
ORDER BY 1
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
        rows = cursor.fetchall()
    return [
        checks.Warning(
            f"The portal's database role {'owns' if owns else 'may alter'} {thing}, so it can "
            "switch off what guards the log.",
            hint="Let another role own the database and run `manage.py migrate`: "
            "docs/postgresql.md.",
            id="portal.W003",
        )
        for thing, owns, may_alter in rows
        if owns or may_alter
    ]
