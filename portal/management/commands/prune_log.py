"""Remove old rows of the log."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.activity.prune import prune
from portal.activity.verify import tenants_with_log
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.server.owner import as_owner


class Command(BaseCommand):
    """Remove old rows of every tenant's log, as its triggers allow below a signed checkpoint."""

    help = (
        "Remove log rows that are older than so many days. A signed checkpoint keeps the rest "
        "verifiable (verify_log), and a row in each log tells how many were removed."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=_days, required=True, metavar="DAYS")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Prune all chains and print how many rows are gone. Raises CommandError (status 1)."""
        removed, faults = 0, []
        with as_owner():
            for tenant_id in tenants_with_log():
                try:
                    removed += prune(
                        tenant_id=tenant_id, older_than=options["older_than"], actor=SYSTEM
                    )
                except Refused as refusal:
                    faults.append(f"{tenant_id}: {refusal.sentence}")
        self.stdout.write(f"Removed {removed} rows older than {options['older_than'].days} days.")
        if faults:
            raise CommandError("\n".join(faults))


def _days(text: str) -> timedelta:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number of days, 1 or more")
    return timedelta(days=int(text))
