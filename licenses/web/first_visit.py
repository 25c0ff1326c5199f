"""From a subscription to a running terminal: the steps of a tenant that has not been there yet."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef

from licenses.models import CheckCount, LicensedSubscriptions, LicenseKey
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription

SUBSCRIBE, ACTIVATE, GENERATE, DOWNLOAD, CHECK = range(5)
STEPS = [
    (SUBSCRIBE, "Get a subscription"),
    (ACTIVATE, "Activate it"),
    (GENERATE, "Generate its license keys"),
    (DOWNLOAD, "Download a license file"),
    (CHECK, "Start a terminal with it: its first check is seen here"),
]


@dataclass(frozen=True, kw_only=True)
class FirstVisit:
    """The steps that are done, and the tenant's one subscription, if it has that already."""

    subscription: Subscription | None
    step: int
    """The first step that is not done: SUBSCRIBE … CHECK."""


def first_visit(tenant: Tenant, subscriptions: int) -> FirstVisit | None:
    """Return how far a tenant with so many subscriptions has come, or None if it needs no help.

    It needs none once a terminal has checked a key, nor with more than one subscription, nor while
    its only one is neither pending nor active.
    """
    if subscriptions > 1:
        return None
    keys = LicenseKey.objects.filter(license__subscription=OuterRef("pk"))
    checks = CheckCount.objects.filter(license_key__license__subscription=OuterRef("pk"))
    rows: Any = LicensedSubscriptions(Subscription).for_tenant(tenant).with_state()
    found = list(
        rows.annotate(
            was_checked=Exists(checks),
            is_licensed=Exists(keys.current()),
            was_downloaded=Exists(keys.current().exclude(last_downloaded_at=None)),
        )[:2]
    )
    if not found:
        return FirstVisit(subscription=None, step=SUBSCRIBE)
    [one, *others] = found
    if others or one.was_checked or one.effective_state not in {State.PENDING, State.ACTIVE}:
        return None
    done = [True, one.effective_state == State.ACTIVE, one.is_licensed, one.was_downloaded, False]
    return FirstVisit(subscription=one, step=done.index(False))
