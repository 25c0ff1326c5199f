"""Tell tenants that a signing key was disabled: in their log, to webhooks, and by one mail each."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from licenses.models import LicenseKey, LicenseKeyQuerySet, SigningKey, Slot
from licenses.reminders import which_keys
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.links import public_link
from portal.mail.worker import do_each
from portal.tenants.models import Tenant
from portal.tenants.notices import notify
from subscriptions.models import Subscription

MAX_LATE = timedelta(days=7)
"""How long after it was disabled it is still news."""

MOST = 20
"""Subscriptions that a mail names."""

CONSEQUENCE = (
    "The vendor withdrew the signing key, so every check of these license keys is refused, and "
    "terminals do not start on them. Reset each slot, download the new license file, install it "
    "and check it. The authorized application id stays as it is."
)


def tell(*, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Tell every tenant with license keys that were withdrawn; return how many were told now.

    One transaction a tenant: a worker that dies goes on where it was, and no tenant is told twice.
    """
    now = now or timezone.now()
    count = 0
    waiting = SigningKey.objects.filter(withdrawal_told_at=None, disabled_at__gt=now - MAX_LATE)
    for signing_key in waiting.defer("private_key", "certificate").order_by("disabled_at"):
        tenants = list(_refused(signing_key, now).values_list("tenant", flat=True).distinct())

        def tell_one(tenant_id: UUID, signing_key: SigningKey = signing_key) -> bool | None:
            return None if stopped() else _tell(tenant_id, signing_key, now)

        told = do_each(tenants, tell_one, what="Withdrawal for")
        count += told.count(True)
        if len(told) == len(tenants) and None not in told:
            SigningKey.objects.filter(pk=signing_key.pk).update(withdrawal_told_at=now)
    return count


def _refused(signing_key: SigningKey, now: datetime) -> LicenseKeyQuerySet:
    return LicenseKey.objects.to_reset(now, if_disabled=signing_key).order_by()


@transaction.atomic
def _tell(tenant_id: UUID, signing_key: SigningKey, now: datetime) -> bool:
    """Record and mail it; return False if another worker has, or nothing is left to reset."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    rows = LogEntry.objects.for_tenant(tenant_id).of_action(Action.KEY_WITHDRAWN)
    if rows.filter(details__kid=signing_key.kid).exists():
        return False
    keys = _refused(signing_key, now).filter(tenant=tenant_id).defer("token")
    found: dict[Subscription, list[Slot]] = {}
    for key in keys.select_related("license__subscription").order_by(
        "license__subscription__name", "license", "slot"
    ):
        subscription = key.license.subscription
        found.setdefault(subscription, []).append(Slot(key.slot))
        record(
            actor=SYSTEM,
            action=Action.KEY_WITHDRAWN,
            tenant_id=tenant_id,
            subscription=subscription,
            slot=key.slot,
            details={"jti": str(key.jti), "kid": signing_key.kid},
            now=now,
        )
    if found:
        _mail(tenant_id, found)
    return bool(found)


def _mail(tenant_id: UUID, found: dict[Subscription, list[Slot]]) -> None:
    """Queue the mail to all owners and managers, whatever mails the tenant wants."""
    [subscription, *others] = found
    if others:
        subject = f"License keys of {len(found)} subscriptions are no longer accepted"
        names = [each.name for each in found][:MOST]
        more = f", and {len(found) - MOST} more" if len(found) > MOST else ""
        consequence = f"{CONSEQUENCE}\n\nSubscriptions: {', '.join(names)}{more}."
        lead, link = "Open the subscriptions", public_link(reverse("subscriptions:list"))
    else:
        slots = found[subscription]
        subject = f"{which_keys(slots)} of {subscription.name} {_are(slots)} no longer accepted"
        consequence = CONSEQUENCE
        lead = "Reset the license keys" if slots[1:] else f"Reset the {slots[0].value} key"
        link = public_link(f"{subscription.get_absolute_url()}next/")
    notify(
        tenant_id,
        topic=None,
        actor=SYSTEM,
        subject=subject,
        consequence=consequence,
        lead=lead,
        link=link,
    )


def _are(slots: Sequence[Slot]) -> str:
    return "are" if slots[1:] else "is"
