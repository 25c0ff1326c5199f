"""Which mails a tenant gets, and who gets them besides its owners and managers."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core import email_addresses
from portal.core.actors import Actor, ActorKind
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox
from portal.tenants.models import (
    EXPIRY_DAYS,
    MAX_RECIPIENTS,
    NotificationPreferences,
    Recipient,
    Tenant,
    Topic,
)
from portal.tenants.notices import by, notify, stop_footer
from portal.tenants.open_tenants import refuse_closed

MAX_A_DAY = 20
"""Addresses that a tenant may add in 24 hours: each gets a mail that it did not ask for."""


@transaction.atomic
def choose_notifications(
    *,
    tenant: Tenant,
    topics: Sequence[str],
    expiry_days: Sequence[int],
    recipients: Sequence[str],
    actor: Actor,
    now: datetime | None = None,
) -> NotificationPreferences:
    """Store what the tenant chose and return it; mail the other owners and managers if it differs.

    Addresses that are new get a mail with a link that stops it. Raises Refused when one is not
    possible, when there are more than MAX_RECIPIENTS, or when MAX_A_DAY were added in 24 hours.
    """
    now = now or timezone.now()
    locked = lock(Tenant, tenant.pk)
    refuse_closed(locked)
    preferences, _ = NotificationPreferences.objects.get_or_create(tenant=locked)
    chosen = {
        "topics": [topic for topic in Topic.values if topic in topics],
        "expiry_days": [days for days in EXPIRY_DAYS if days in expiry_days],
    }
    details = change(preferences, chosen) or {"before": {}, "after": {}}
    before = [recipient.email for recipient in locked.recipients.active()]
    after = _set_recipients(locked, recipients, now)
    if before != after:
        details["before"]["recipients"] = before
        details["after"]["recipients"] = after
    if details["after"]:
        record(
            actor=actor,
            action=Action.NOTIFICATIONS_CHANGED,
            tenant_id=locked.pk,
            details=details,
            now=now,
        )
        notify(
            locked.pk,
            topic=None,
            actor=actor,
            subject=f"Notifications of {locked} were changed by {by(actor)}",
            lead="See what is sent, and to whom",
            link=public_link(reverse("tenant:notifications")),
        )
    return preferences


@transaction.atomic
def stop_notifications(
    *, recipient: Recipient, address: str = "", now: datetime | None = None
) -> None:
    """End the mails to an address, as whoever reads its mail asked; once is enough.

    `address` is the network address for the log.
    """
    tenant, now = lock(Tenant, recipient.tenant_id), now or timezone.now()
    locked = tenant.recipients.active().filter(pk=recipient.pk).first()
    if locked is None:
        return
    before = [each.email for each in tenant.recipients.active()]
    locked.ended_at = now
    locked.save(update_fields=["ended_at"])
    record(
        actor=Actor(kind=ActorKind.SYSTEM, name="Recipient of the mail", address=address),
        action=Action.NOTIFICATIONS_CHANGED,
        tenant_id=tenant.pk,
        details={
            "before": {"recipients": before},
            "after": {"recipients": [email for email in before if email != locked.email]},
        },
        now=now,
    )


def _set_recipients(tenant: Tenant, wanted: Sequence[str], now: datetime) -> list[str]:
    """End what is not wanted any more, add and mail what is new, and return all, oldest first."""
    emails = [email_addresses.admitted(text, field="recipients").lower() for text in wanted]
    if len(emails) > MAX_RECIPIENTS:
        raise Refused(f"These are more than {MAX_RECIPIENTS} addresses.", field="recipients")
    present = tenant.recipients.active()
    present.exclude(email__in=emails).update(ended_at=now)
    known = set(present.values_list("email", flat=True))
    new = [email for email in dict.fromkeys(emails) if email not in known]
    lately = tenant.recipients.filter(added_at__gt=now - timedelta(days=1)).count()
    if new and lately + len(new) > MAX_A_DAY:
        raise Refused(
            f"More than {MAX_A_DAY} addresses in 24 hours. Wait a day.", field="recipients"
        )
    for email in new:
        _queue_welcome(Recipient.objects.create(tenant=tenant, email=email, added_at=now))
    return [recipient.email for recipient in tenant.recipients.active()]


def _queue_welcome(recipient: Recipient) -> None:
    outbox.queue(
        to=recipient.email,
        subject=f"{recipient.tenant} sends you news of its license keys",
        template="recipient",
        context={"recipient": recipient},
        footer=stop_footer(recipient, recipient.tenant),
        tenant_id=recipient.tenant_id,
    )
