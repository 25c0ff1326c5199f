"""Mails to owners before a service token expires."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from portal.core.dates import days_until, moment_beside_utc
from portal.core.links import public_link
from portal.mail.worker import do_each
from portal.tenants.notices import notify
from subscriptions.service_tokens.models import REMINDERS, ServiceToken, ServiceTokenQuerySet


def send(*, now: datetime | None = None) -> int:
    """Queue the reminders that are due, each once, and return for how many tokens.

    After missed days the nearest step is mentioned alone.
    """
    now = now or timezone.now()
    tokens = list(due(now).values_list("pk", flat=True))
    return sum(do_each(tokens, lambda pk: _remind(pk, now), what="Reminder of token"))


def due(now: datetime) -> ServiceTokenQuerySet:
    """Return the tokens that have a reminder due; one that was rotated has a successor."""
    is_due = Q()
    for days in REMINDERS:
        is_due |= _near(days, now) & (Q(reminded_days=None) | Q(reminded_days__gt=days))
    return ServiceToken.objects.filter(
        is_due, revoked_at=None, overlap_ends_at=None, expires_at__gt=now
    )


def _near(days: int, now: datetime) -> Q:
    return Q(expires_at__lte=now + timedelta(days=days))


@transaction.atomic
def _remind(pk: UUID, now: datetime) -> bool:
    token = due(now).select_for_update().filter(pk=pk).first()
    if token is None:  # another worker was first, or it was rotated or revoked meanwhile
        return False
    left = days_until(token.expires_at, now)
    token.reminded_days = min(days for days in REMINDERS if days >= left)
    token.save(update_fields=["reminded_days"])
    notify(
        token.tenant_id,
        topic=None,
        owners_only=True,
        subject=f"Service token {token} expires in {left} day{'' if left == 1 else 's'}",
        consequence=lambda: (
            f"Programs that use it are refused from {moment_beside_utc(token.expires_at)}. It "
            f"was last used: {token.last_use()}. Rotate it, and give its programs the new one."
        ),
        lead="See the service tokens",
        link=public_link(reverse("service_tokens:list")),
    )
    return True
