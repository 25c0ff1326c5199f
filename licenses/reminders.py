"""Mails before and when license keys expire: one for each tenant and day, each step told once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from licenses.models import CheckCount, LicenseKey, LicenseKeyQuerySet, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import SYSTEM
from portal.core.dates import days_until, moment_beside_utc, remaining
from portal.core.links import public_link
from portal.mail.worker import do_each
from portal.tenants.models import EXPIRY_DAYS, Tenant, Topic
from portal.tenants.notices import notify, preferences_of, were_notified
from subscriptions.models import EXPIRY_NOTICE, BillingPeriod, State, Subscription

EXPIRED = 0
"""The step at the expiry itself."""

STEPS = {
    period: (*(days for days in EXPIRY_DAYS if timedelta(days) <= notice), EXPIRED)
    for period, notice in EXPIRY_NOTICE.items()
}
"""Days before the expiry at which a mail is due, by the plan: the first is when pages turn amber.

The days a tenant left out are skipped; the mail at the expiry comes with those before it.
"""

MAX_STEP = max(max(steps) for steps in STEPS.values())
MAX_LATE = timedelta(days=2)
"""How long after an expiry it is still news."""


def which_keys(slots: Sequence[Slot]) -> str:
    """Return "Both keys" or "The primary key"."""
    return "Both keys" if len(slots) > 1 else f"The {slots[0].label.lower()} key"


def what_to_do(slots: Sequence[Slot], *, plan_changed: bool, with_subscription: bool) -> str:
    """Return what to do about keys that expire or have expired, for mails and pages."""
    if plan_changed:
        return "The plan has changed: delete both keys and generate new ones."
    if with_subscription:
        return "The subscription ends then too, and no new key lasts longer: renew it first."
    if len(slots) > 1:
        return "Reset one, install it, check it, reset the other."
    return "Reset it, install the new license file and check it."


def bring_into_use(good: LicenseKey, *, is_new: bool) -> str:
    """Return what brings a good key into use, without a full stop, for mails and pages.

    `is_new` is whether it came from a reset.
    """
    key = f"the {'new ' if is_new else ''}{Slot(good.slot).value} key"
    steps = f"Install {key}" if good.last_downloaded_at else f"Download {key}, install it"
    return f"{steps} and check it"


def use_first(good: LicenseKey, *, is_new: bool) -> str:
    """Return that a good key is to be in use before the other is reset, for mails and pages."""
    steps = bring_into_use(good, is_new=is_new)
    return f"{steps}; then reset the {Slot(good.slot).other.value} key."


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """What one mail says of one subscription."""

    subscription: str
    link: str
    slots: list[Slot]
    expires_at: datetime
    days: int
    """Days left, begun ones whole; 0 once expired."""
    left: str
    """The time left in words."""
    with_subscription: bool
    plan_changed: bool
    unused: LicenseKey | None
    """The other key, if that is good and no terminal has passed with it yet."""

    @property
    def next_step(self) -> str:
        """The address that leads to the form of what is to be done."""
        return f"{self.link}next/"

    @property
    def which(self) -> str:
        """The keys, to begin a sentence with."""
        return which_keys(self.slots)

    @property
    def verb(self) -> str:
        """What they do."""
        return "expires" if len(self.slots) == 1 else "expire"

    @property
    def when(self) -> str:
        """The news, such as "Both keys expire on 2 Dec 2026 at 09:30 UTC, in 5 days."."""
        at = moment_beside_utc(self.expires_at)
        if self.days == EXPIRED:
            return f"{self.which} expired on {at}."
        return f"{self.which} {self.verb} on {at}, in {self.left}."

    @property
    def leads_on(self) -> bool:
        """Whether the other key is to be in use before these are reset."""
        return bool(self.unused) and not (self.plan_changed or self.with_subscription)

    @property
    def to_do(self) -> str:
        """What to do about it, in the words of the subscription's page."""
        if self.leads_on and self.unused:
            return use_first(self.unused, is_new=self.unused.awaits_first_check)
        return what_to_do(
            self.slots, plan_changed=self.plan_changed, with_subscription=self.with_subscription
        )


def send(*, now: datetime | None = None) -> int:
    """Queue the reminders that are due, and return for how many tenants.

    It may run at any time, any number of times, and concurrently: each step of a key is mentioned
    once, and after missed days one mail mentions the nearest step.
    """
    now = now or timezone.now()
    tenants = due(now).order_by().values_list("tenant_id", flat=True).distinct()
    return sum(
        do_each(list(tenants), lambda tenant: _remind(tenant, now), what="Reminder of tenant")
    )


def due(now: datetime) -> LicenseKeyQuerySet:
    """Return the keys in a slot of an active subscription that have a reminder due."""
    running = Q(license__subscription__ends_at=None) | Q(license__subscription__ends_at__gt=now)
    reminder_due = Q()
    for period, steps in STEPS.items():
        for step in steps:
            near = Q(
                license__subscription__plan__billing_period=period,
                expires_at__lte=now + timedelta(days=step),
            )
            reminder_due |= near & _not_reminded(step)
    return LicenseKey.objects.current().filter(
        running,
        reminder_due,
        license__deleted_at=None,
        license__subscription__state=State.ACTIVE,
        revoked_at=None,
        expires_at__gt=now - MAX_LATE,
        expires_at__lte=now + timedelta(days=MAX_STEP),
    )


def _remind(tenant_id: UUID, now: datetime) -> bool:
    """Queue the tenant's mail of the day; what becomes due after it waits until tomorrow."""
    once = f"expiry:{tenant_id}:{now:%Y-%m-%d}"
    with transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
        if were_notified(tenant_id, once=once):
            return False
        keys = due(now).filter(tenant_id=tenant_id)
        keys = keys.select_related("license__subscription__plan")
        wanted = preferences_of(tenant_id)
        chosen = {*wanted.expiry_days, EXPIRED} if Topic.EXPIRY in wanted.topics else set()
        expiring = _by_subscription([key for key in keys if _take(key, chosen, now)], now)
        if not expiring:
            return False
        notify(
            tenant_id,
            topic=Topic.EXPIRY,
            subject=_subject(expiring),
            template="expiry",
            once=once,
            expiring=expiring,
            is_one=len({each.link for each in expiring}) == 1,
            link=expiring[0].link if expiring[0].with_subscription else expiring[0].next_step,
            all=public_link(reverse("subscriptions:list")),
        )
    return True


def _take(key: LicenseKey, chosen: set[int], now: datetime) -> bool:
    """Note the step that the key has reached; return whether one of the chosen was not told yet.

    One that was mentioned meanwhile, or whose slot was reset or deleted, is left out.
    """
    left, told = days_until(key.expires_at, now), key.reminded_days
    steps = STEPS[BillingPeriod(key.license.subscription.plan.billing_period)]
    reached = min(step for step in steps if step >= left)
    unmentioned = LicenseKey.objects.current().filter(_not_reminded(reached), pk=key.pk)
    if not unmentioned.update(reminded_days=reached):
        return False
    if reached != EXPIRED:
        _record(key, left, now)
    return any(left <= step and (told is None or step < told) for step in chosen & {*steps})


def _record(key: LicenseKey, days: int, now: datetime) -> None:
    """Record that the key expires, whichever mails the tenant wants."""
    record(
        actor=SYSTEM,
        action=Action.KEY_EXPIRING,
        tenant_id=key.tenant_id,
        subscription=key.license.subscription,
        slot=key.slot,
        details={"jti": str(key.jti), "expires_at": key.expires_at.isoformat(), "days": days},
        now=now,
    )


def _not_reminded(step: int) -> Q:
    return Q(reminded_days=None) | Q(reminded_days__gt=step)


def _by_subscription(keys: Iterable[LicenseKey], now: datetime) -> list[Expiring]:
    """Return what to say, by expiry; keys of a license that expire on one day share an entry."""
    groups: dict[tuple[UUID, int], list[LicenseKey]] = {}
    for key in sorted(keys, key=lambda key: (key.expires_at, key.slot)):
        place = (key.license.subscription_id, days_until(key.expires_at, now))
        groups.setdefault(place, []).append(key)
    unused = _unused([found[0] for found in groups.values() if len(found) == 1], now)
    return [
        Expiring(
            subscription=found[0].license.subscription.name,
            link=public_link(found[0].license.subscription.get_absolute_url()),
            slots=[Slot(key.slot) for key in found],
            expires_at=found[0].expires_at,
            days=days,
            left=remaining(found[0].expires_at, now),
            with_subscription=ends_with(found[0], found[0].license.subscription),
            plan_changed=found[0].license.plan_id != found[0].license.subscription.plan_id,
            unused=None if found[1:] else unused.get(found[0].license_id),
        )
        for (_, days), found in groups.items()
    ]


def _unused(dying: list[LicenseKey], now: datetime) -> dict[UUID, LicenseKey]:
    """Return the good keys beside these with which no terminal has passed, by their license."""
    plans = {key.license_id: key.license.subscription.plan for key in dying}
    checks = CheckCount.objects.filter(license_key=OuterRef("pk"))
    others = LicenseKey.objects.current().filter(
        Q(awaits_first_check=True) | ~Exists(checks), license__in=plans, revoked_at=None
    )
    return {
        key.license_id: key
        for key in others.exclude(pk__in=[key.pk for key in dying])
        if key.expires_at > now and not plans[key.license_id].expires_soon(key.expires_at, now)
    }


def _subject(expiring: list[Expiring]) -> str:
    subscriptions = len({each.link for each in expiring})
    first = expiring[0]
    when = f"in {first.left}"
    if subscriptions > 1:
        begun = "have expired" if first.days == EXPIRED else f"expire, the first {when}"
        return f"License keys of {subscriptions} subscriptions {begun}"
    expired = "has expired" if len(first.slots) == 1 else "have expired"
    verb = expired if first.days == EXPIRED else f"{first.verb} {when}"
    return f"{first.which} of {first.subscription} {verb}"


def ends_with(key: LicenseKey, subscription: Subscription) -> bool:
    """Return whether a reset would give a key that expires no later."""
    ends_at = subscription.ends_at
    return ends_at is not None and ends_at.replace(microsecond=0) <= key.expires_at
