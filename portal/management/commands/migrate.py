"""Migrate the database as the role that owns its tables."""

from typing import Any, override

from django.conf import settings
from django.core.management.commands import migrate

from portal.server.owner import as_owner, keep_time_outs


class Command(migrate.Command):
    """Django's `migrate`, connected by MIGRATION_DATABASE_URL where that is set.

    System checks run before and judge the role in DATABASE_URL, with which the portal runs.
    """

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. Raises CommandError when the role may not, or the one to grant to is missing."""
        with as_owner():
            super().handle(*args, **options)
        if settings.DATABASE_PGBOUNCER and not (options["plan"] or options["check_unapplied"]):
            keep_time_outs()
