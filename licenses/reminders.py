"""Mails before license keys expire: one for each tenant and day, each step told once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from licenses.models import LicenseKey, LicenseKeyQuerySet, Slot
from licenses.notices import subscription_link
from portal.models import Outbox
from portal.notices import tell_keepers
from subscriptions.models import BillingPeriod, State

STEPS = {
    BillingPeriod.YEARLY: (60, 30, 14, 7, 3, 1, 0),
    BillingPeriod.COMMUNITY: (30, 14, 7, 3, 1, 0),
    BillingPeriod.MONTHLY: (7, 3, 1, 0),
}
"""Days before the expiry, in UTC, on which a key's owners are reminded."""


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """What one mail says of one subscription."""

    subscription: str
    link: str
    slots: str
    expires_at: datetime
    days: int


def send(*, now: datetime | None = None) -> int:
    """Queue the reminders that are due, and return for how many tenants.

    It may run at any time and as often as one likes, several at once too: each step of a key is
    told once, and a day that was missed is made up for by the nearest step, in one mail.
    """
    now = now or timezone.now()
    tenants = _near(now).order_by().values_list("tenant_id", flat=True).distinct()
    return sum(_remind(tenant_id, now) for tenant_id in list(tenants))


def step(key: LicenseKey, now: datetime) -> int | None:
    """Return the step of a key that has come, the nearest to its expiry; None before the first."""
    days = _days_left(key, now)
    come = [
        step for step in STEPS[BillingPeriod(key.license.plan.billing_period)] if step >= days >= 0
    ]
    return min(come, default=None)


def _near(now: datetime) -> LicenseKeyQuerySet:
    longest = max(max(steps) for steps in STEPS.values())
    running = Q(license__subscription__ends_at=None) | Q(license__subscription__ends_at__gt=now)
    return LicenseKey.objects.current().filter(
        running,
        license__deleted_at=None,
        license__subscription__state=State.ACTIVE,
        revoked_at=None,
        expires_at__gt=now,
        expires_at__lt=now + timedelta(days=longest + 1),
    )


def _remind(tenant_id: UUID, now: datetime) -> bool:
    name = f"expiry:{tenant_id}:{now:%Y-%m-%d}"
    with transaction.atomic():
        if Outbox.objects.filter(dedupe_key__startswith=name).exists():
            return False  # One mail a day; what came later is told tomorrow.
        keys = (
            _near(now)
            .filter(tenant_id=tenant_id)
            .select_related("license__plan", "license__subscription")
        )
        due = [key for key in keys if _take(key, now)]
        if not due:
            return False
        expiring = _by_subscription(due, now)
        first = expiring[0]
        subject = (
            f"{first.subscription}: license keys expire {_in_days(first.days)}"
            if len(expiring) == 1
            else f"License keys of {len(expiring)} subscriptions expire"
        )
        tell_keepers(tenant_id, subject=subject, template="expiry", once=name, expiring=expiring)
    return True


def _take(key: LicenseKey, now: datetime) -> bool:
    """Note that the key's step is told, and return whether it was not before."""
    come = step(key, now)
    if come is None:
        return False
    untold = Q(reminded_days=None) | Q(reminded_days__gt=come)
    return bool(LicenseKey.objects.filter(untold, pk=key.pk).update(reminded_days=come))


def _by_subscription(keys: Iterable[LicenseKey], now: datetime) -> list[Expiring]:
    """Return what to say, the soonest first; keys of a license that expire on one day together."""
    together: dict[tuple[UUID, int], list[LicenseKey]] = {}
    for key in sorted(keys, key=lambda key: (key.expires_at, key.slot)):
        place = (key.license.subscription_id, _days_left(key, now))
        together.setdefault(place, []).append(key)
    return [
        Expiring(
            subscription=found[0].license.subscription.name,
            link=subscription_link(found[0].license.subscription),
            slots=" and ".join(Slot(key.slot).label.lower() for key in found)
            + (" key expires" if len(found) == 1 else " keys expire"),
            expires_at=found[0].expires_at,
            days=days,
        )
        for (_, days), found in together.items()
    ]


def _days_left(key: LicenseKey, now: datetime) -> int:
    return (key.expires_at.date() - now.date()).days


def _in_days(days: int) -> str:
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
