"""What an operator action does beyond its rows: terminals that it stops, mail, whose they are."""

from collections.abc import Sequence
from typing import Any, override

from django.db.models import Max, QuerySet, Sum
from django.utils import timezone

from licenses.admin.searching import MOST as MOST_CUSTOMERS
from licenses.admin.searching import customer_address
from licenses.checking.results import PASSING
from licenses.checking.use import ago
from licenses.figures.needs import DAY
from licenses.models import CheckCount, LicenseKey
from portal.core.actors import Actor
from portal.operators.actions import ActionsAdmin
from portal.tenants.models import Tenant, Topic
from portal.tenants.notices import addresses

MOST = 8
"""Addresses that are named; whoever acts on many customers reads how many there are."""


def stopped(keys: QuerySet[LicenseKey]) -> tuple[str, str]:
    """Return how often terminals passed with the keys in 24 hours: so many starts are refused."""
    now, label = timezone.now(), "Terminals that stop"
    counts = CheckCount.objects.filter(license_key__in=keys, hour__gt=now - DAY, result__in=PASSING)
    passed = counts.aggregate(times=Sum("count"), last=Max("last_at"))
    if not passed["times"]:
        return label, "none is known, as no check passed in the last 24 hours."
    times = "1 check" if passed["times"] == 1 else f"{passed['times']:,} checks"
    return label, (
        f"{times} passed in the last 24 hours, the last one {ago(passed['last'], now)}. From the "
        "next start on, each is refused."
    )


def mailed(rows: Sequence[Any], topic: Topic, actor: Actor) -> tuple[str, str]:
    """Return who gets a mail of this topic for the tenants of the rows."""
    tenants = sorted({row.tenant_id for row in rows})
    found = [address for tenant in tenants for address in addresses(tenant, topic, actor=actor)]
    named = list(dict.fromkeys(found))
    more = f" and {len(named) - MOST} more" if len(named) > MOST else ""
    return "A mail with the reason goes to", f"{', '.join(named[:MOST])}{more}" or "nobody"


class LeadsToCustomers(ActionsAdmin):
    """Leads, after an operator action, to the customers that it was about."""

    @override
    def leads_on(self, rows: list[Any]) -> list[tuple[str, str]]:
        tenants = {row if isinstance(row, Tenant) else row.tenant for row in rows}
        return [
            (f"Back to {tenant}", customer_address(tenant.pk))
            for tenant in sorted(tenants, key=str)[:MOST_CUSTOMERS]
        ]
