"""What templates ask about license keys."""

from django import template
from django.utils import timezone

from licenses import card as cards
from portal.models import Member
from portal.support_view import SupportView
from subscriptions.models import EXPIRY_NOTICE, BillingPeriod, Subscription

register = template.Library()


@register.simple_tag
def license_card(
    subscription: Subscription, member: Member, support_view: SupportView | None
) -> cards.Card:
    """Return the License Keys card of the subscription as the member or a support view sees it."""
    return cards.card(subscription, member, hands_out=not support_view)


@register.simple_tag
def listed_state(subscription: Subscription) -> cards.KeyState | None:
    """Return what the list of subscriptions says about the license keys; None without keys."""
    if not subscription.has_keys:
        return None
    if subscription.keys_expire_at is None:
        return cards.REVOKED
    now, expires_at = timezone.now(), subscription.keys_expire_at
    if expires_at <= now:
        return cards.EXPIRED
    if expires_at - now > EXPIRY_NOTICE[BillingPeriod(subscription.plan.billing_period)]:
        return cards.VALID
    return cards.KeyState(
        label=f"Expires in {days(cards.days_until(expires_at, now))}", tone="warn"
    )


@register.filter
def days(count: int) -> str:
    """Return "1 day" or "5 days"."""
    return "1 day" if count == 1 else f"{count} days"
