"""Template tags about subscriptions and their license keys; none queries the database."""

from functools import cache
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from licenses.web import card as cards
from portal.core.dates import days_until
from subscriptions.models import State

register = template.Library()

TONES = {
    State.PENDING: "info",
    State.ACTIVE: "good",
    State.SUSPENDED: "warn",
    State.ENDED: "muted",
}

NO_KEYS = mark_safe('<span class="muted">No keys</span>')


@register.simple_tag
@cache
def state_badge(state: str) -> SafeString:
    """Return the badge of a subscription's state."""
    state = State(state)
    return format_html('<span class="badge" data-tone="{}">{}</span>', TONES[state], state.label)


@register.simple_tag
def listed_badge(subscription: Any) -> SafeString:
    """Return the badge of a subscription's license keys in the list."""
    keys = listed_state(subscription)
    if keys is None:
        return NO_KEYS
    return format_html('<span class="badge" data-tone="{}">{}</span>', keys.tone, keys.label)


def listed_state(subscription: Any) -> cards.KeyBadge | None:
    """Return the state of a subscription's license keys in the list; None without keys.

    Needs `with_state` and `read_license_state`.
    """
    if not subscription.has_keys:
        return None
    if subscription.keys_expire_at is None:
        return cards.REVOKED
    now, expires_at = timezone.now(), subscription.keys_expire_at
    if expires_at <= now:
        return cards.EXPIRED
    if subscription.effective_state != State.ACTIVE:
        return cards.NOT_ACCEPTED
    if not subscription.plan.expires_soon(expires_at, now):
        return cards.VALID
    return cards.KeyBadge(label=f"Expires in {days(days_until(expires_at, now))}", tone="warn")


@register.filter
def days(count: int) -> str:
    """Return "1 day" or "5 days"."""
    return "1 day" if count == 1 else f"{count} days"
