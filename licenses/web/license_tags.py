"""Template filters about license keys; none of them queries the database."""

from typing import Any

from django import template
from django.utils import timezone

from licenses.web import card as cards
from subscriptions.models import EXPIRY_NOTICE, BillingPeriod

register = template.Library()


@register.filter
def listed_state(subscription: Any) -> cards.KeyBadge | None:
    """Return the badge of a subscription's license keys in the list; None without keys.

    The subscription must have been read with `with_license_state`.
    """
    if not subscription.has_keys:
        return None
    if subscription.keys_expire_at is None:
        return cards.REVOKED
    now, expires_at = timezone.now(), subscription.keys_expire_at
    if expires_at <= now:
        return cards.EXPIRED
    if expires_at - now > EXPIRY_NOTICE[BillingPeriod(subscription.plan.billing_period)]:
        return cards.VALID
    return cards.KeyBadge(
        label=f"Expires in {days(cards.days_until(expires_at, now))}", tone="warn"
    )


@register.filter
def days(count: int) -> str:
    """Return "1 day" or "5 days"."""
    return "1 day" if count == 1 else f"{count} days"
