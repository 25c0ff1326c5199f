"""Verify that the log is whole."""

from contextlib import suppress
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from portal.activity import anchors
from portal.activity.models import VENDOR, LogChain
from portal.activity.verify import tenants_with_log, verify
from portal.core.refusal import Refused
from portal.metrics import installation
from portal.tenants.models import Tenant


class Command(BaseCommand):
    """Follow the chain of every tenant from its first row to its head."""

    help = (
        "Verify the log of all tenants. Exit status 0: whole; 1: a row was changed, left out, cut "
        "off or written without LOG_KEY. One sentence per tenant says what."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchors",
            type=Path,
            metavar="FILE",
            help="compare with the heads that the worker has kept (LOG_ANCHORS_FILE): finds a "
            "database that was put back, and a tail that was cut together with head and count",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is wrong, or how much was verified. Raises CommandError (status 1)."""
        try:
            anchored = anchors.read_given(options["anchors"])
        except Refused as refusal:
            raise CommandError(refusal.sentence) from refusal
        tenants = tenants_with_log()
        faults = [fault for tenant_id in tenants if (fault := verify(tenant_id))]
        known = {fault.tenant_id for fault in faults}
        if anchored is not None:
            faults += [each for each in anchors.compare(anchored) if each.tenant_id not in known]
        for fault in faults:
            self.stderr.write(f"{_name(fault.tenant_id)}: {fault.sentence}.")
        if faults:
            installation.LOG_FAULTS.add(count=len(faults))
            with suppress(Error):  # a database that was put aside may take no changes
                installation.store()
            chains = len({*tenants, *(fault.tenant_id for fault in faults)})
            raise CommandError(f"The log is not whole: {len(faults)} of {chains} chains.")
        rows = sum(LogChain.objects.values_list("count", flat=True))
        self.stdout.write(f"The log is whole: {rows} rows in {len(tenants)} chains.")
        if anchored is not None:
            self.stdout.write(
                f"It agrees with {anchored.count} anchors, the last of {anchored.last_at}: "
                f"{anchored.last_signature}"
            )


def _name(tenant_id: Any) -> str:
    if tenant_id == VENDOR:
        return "Vendor"
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    return f"{tenant or 'A tenant that was removed'} ({tenant_id})"
