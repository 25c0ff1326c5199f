"""What the portal's role in PostgreSQL may do: it owns nothing, and changes no row of the log.

But for names that an erasure replaces by pseudonyms (`portal.activity.erasure`).
"""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections, transaction
from psycopg import sql

from portal.activity.triggers import CHAINS, PERSONAL, TABLE

OWNED = """
SELECT quote_ident(nspname), quote_ident(relname), relkind = 'S'
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'S')
    AND pg_has_role(current_user, relowner, 'USAGE')
ORDER BY relname
"""
"""Tables and sequences that the current role has made."""

RIGHTS = {
    TABLE: f"SELECT, INSERT, UPDATE ({', '.join(PERSONAL)})",
    CHAINS: "SELECT, INSERT, UPDATE (count, head, erased_to, erased_signature, erasing)",
    "django_migrations": "SELECT",
}
"""Rights on tables where they are not SELECT, INSERT, UPDATE and DELETE. Whoever may move the
checkpoint of a chain may remove rows below it, which is for `prune_log` as the owner. Names are
replaced by the worker, as far as the triggers let it."""


def grant_rights(*, using: str = "default", **_signal: Any) -> None:
    """Grant the role of DATABASE_URL what the portal needs, and take from it what it does not.

    Receives `post_migrate`, as the owner of the tables. Without MIGRATION_DATABASE_URL there is no
    other role. Raises CommandError when the role does not exist.
    """
    role = settings.DATABASE_ROLE
    if not role:
        return
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            raise CommandError(
                f'The role "{role}" of DATABASE_URL does not exist in PostgreSQL, so nothing was '
                "granted to it. Make it (docs/postgresql.md) and migrate again."
            )
        cursor.execute(OWNED)
        for schema, name, is_sequence in cursor.fetchall():
            what = f"{'SEQUENCE' if is_sequence else 'TABLE'} {schema}.{name}"
            # SELECT on sequences is for pg_dump.
            rights = (
                "USAGE, SELECT"
                if is_sequence
                else RIGHTS.get(name, "SELECT, INSERT, UPDATE, DELETE")
            )
            for statement in (
                f"GRANT USAGE ON SCHEMA {schema} TO {{role}}",
                f"REVOKE ALL ON {what} FROM {{role}}",
                f"GRANT {rights} ON {what} TO {{role}}",
            ):
                cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
