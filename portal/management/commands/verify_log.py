"""Verify that the log is whole."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.activity.models import VENDOR, LogChain
from portal.activity.verify import tenants_with_log, verify
from portal.tenants.models import Tenant


class Command(BaseCommand):
    """Follow the chain of every tenant from its first row to its head."""

    help = (
        "Verify the log of all tenants. Exit status 0: whole; 1: a row was changed, left out, cut "
        "off or written without LOG_KEY. One sentence per tenant says what."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is wrong, or how much was verified. Raises CommandError (status 1)."""
        tenants = tenants_with_log()
        faults = [fault for tenant_id in tenants if (fault := verify(tenant_id))]
        for fault in faults:
            self.stderr.write(f"{_name(fault.tenant_id)}: {fault.sentence}.")
        if faults:
            raise CommandError(f"The log is not whole: {len(faults)} of {len(tenants)} chains.")
        rows = sum(LogChain.objects.values_list("count", flat=True))
        self.stdout.write(f"The log is whole: {rows} rows in {len(tenants)} chains.")


def _name(tenant_id: Any) -> str:
    if tenant_id == VENDOR:
        return "Vendor"
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    return f"{tenant or 'A tenant that was removed'} ({tenant_id})"
