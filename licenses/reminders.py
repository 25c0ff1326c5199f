"""Mails before license keys expire: one for each tenant and day, each step mentioned once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from licenses.models import LicenseKey, LicenseKeyQuerySet, Slot
from portal.core.links import public_link
from portal.mail.worker import do_each
from portal.tenants.models import Tenant
from portal.tenants.notices import notify_key_managers, were_notified
from subscriptions.models import BillingPeriod, State

STEPS = {
    BillingPeriod.YEARLY: (60, 30, 14, 7, 3, 1, 0),
    BillingPeriod.COMMUNITY: (30, 14, 7, 3, 1, 0),
    BillingPeriod.MONTHLY: (7, 3, 1, 0),
}
"""Days before the expiry, in UTC, on which owners and managers are reminded."""

MAX_STEP = max(max(steps) for steps in STEPS.values())


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """What one mail says of one subscription."""

    subscription: str
    link: str
    slots: str
    expires_at: datetime
    days: int
    with_subscription: bool


def send(*, now: datetime | None = None) -> int:
    """Queue the reminders that are due, and return for how many tenants.

    It may run at any time, any number of times, and concurrently: each step of a key is mentioned
    once, and after missed days one mail mentions the nearest step.
    """
    now = now or timezone.now()
    tenants = due(now).order_by().values_list("tenant_id", flat=True).distinct()
    return sum(do_each(list(tenants), lambda tenant: _remind(tenant, now), what="Reminder of"))


def due(now: datetime) -> LicenseKeyQuerySet:
    """Return the keys in a slot of an active subscription that have a reminder due."""
    running = Q(license__subscription__ends_at=None) | Q(license__subscription__ends_at__gt=now)
    reminder_due = Q()
    for period, steps in STEPS.items():
        for step in steps:
            near = Q(license__plan__billing_period=period, expires_at__lt=_end_of_day(now, step))
            reminder_due |= near & _not_reminded(step)
    return LicenseKey.objects.current().filter(
        running,
        reminder_due,
        license__deleted_at=None,
        license__subscription__state=State.ACTIVE,
        revoked_at=None,
        expires_at__gt=now,
        expires_at__lt=_end_of_day(now, MAX_STEP),
    )


def _remind(tenant_id: UUID, now: datetime) -> bool:
    """Queue the tenant's mail of the day; what becomes due after it waits until tomorrow."""
    once = f"expiry:{tenant_id}:{now:%Y-%m-%d}"
    with transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
        if were_notified(tenant_id, once=once):
            return False
        keys = due(now).filter(tenant_id=tenant_id)
        keys = keys.select_related("license__plan", "license__subscription")
        expiring = _by_subscription([key for key in keys if _take(key, now)], now)
        if not expiring:
            return False
        notify_key_managers(
            tenant_id,
            subject=_subject(expiring),
            template="expiry",
            once=once,
            expiring=expiring,
        )
    return True


def _take(key: LicenseKey, now: datetime) -> bool:
    """Record the key's step as mentioned, unless its slot was reset or deleted meanwhile."""
    steps = STEPS[BillingPeriod(key.license.plan.billing_period)]
    reached = min(step for step in steps if step >= _days_left(key, now))
    unmentioned = LicenseKey.objects.current().filter(_not_reminded(reached), pk=key.pk)
    return bool(unmentioned.update(reminded_days=reached))


def _not_reminded(step: int) -> Q:
    return Q(reminded_days=None) | Q(reminded_days__gt=step)


def _by_subscription(keys: Iterable[LicenseKey], now: datetime) -> list[Expiring]:
    """Return what to say, by expiry; keys of a license that expire on one day share an entry."""
    groups: dict[tuple[UUID, int], list[LicenseKey]] = {}
    for key in sorted(keys, key=lambda key: (key.expires_at, key.slot)):
        place = (key.license.subscription_id, _days_left(key, now))
        groups.setdefault(place, []).append(key)
    return [
        Expiring(
            subscription=found[0].license.subscription.name,
            link=public_link(found[0].license.subscription.get_absolute_url()),
            slots=" and ".join(Slot(key.slot).label.lower() for key in found)
            + (" key expires" if len(found) == 1 else " keys expire"),
            expires_at=found[0].expires_at,
            days=days,
            with_subscription=_ends_with(found[0]),
        )
        for (_, days), found in groups.items()
    ]


def _subject(expiring: list[Expiring]) -> str:
    subscriptions = len({each.link for each in expiring})
    if subscriptions > 1:
        return f"License keys of {subscriptions} subscriptions expire"
    first = expiring[0]
    return f"{first.subscription}: license keys expire {_in_days(first.days)}"


def _ends_with(key: LicenseKey) -> bool:
    """Return whether a reset would give a key that expires no later."""
    ends_at = key.license.subscription.ends_at
    return ends_at is not None and ends_at.replace(microsecond=0) <= key.expires_at


def _days_left(key: LicenseKey, now: datetime) -> int:
    return (key.expires_at.date() - now.date()).days


def _end_of_day(now: datetime, days: int) -> datetime:
    """Return the midnight that ends the day so many days ahead."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=days + 1)


def _in_days(days: int) -> str:
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
