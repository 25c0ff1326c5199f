"""The badge of a license key: its state in two words, the same for members and operators."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from licenses.models import KeyState, LicenseKey
from portal.core.dates import days_until
from subscriptions.models import State, Subscription


@dataclass(frozen=True, kw_only=True)
class KeyBadge:
    """The badge that shows the state of a key."""

    label: str
    tone: str


VALID = KeyBadge(label="Valid", tone="good")
EXPIRES_SOON = KeyBadge(label="Expires soon", tone="warn")
EXPIRED = KeyBadge(label="Expired", tone="bad")
REVOKED = KeyBadge(label="Revoked", tone="bad")
ONE_REVOKED = KeyBadge(label="One key revoked", tone="bad")
NOT_ACCEPTED = KeyBadge(label="Not accepted", tone="bad")
OVERLAP = KeyBadge(label="Overlap", tone="info")

DYING = (EXPIRES_SOON, EXPIRED, REVOKED)


def badge_of(key: LicenseKey, subscription: Subscription, now: datetime) -> KeyBadge:
    """Return the badge of a key that is current, or still accepted after its reset."""
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at <= now:
        return EXPIRED
    if subscription.state_at(now) != State.ACTIVE:
        return NOT_ACCEPTED
    if key.state == KeyState.SUPERSEDED:
        return OVERLAP
    soon = subscription.plan.expires_soon(key.expires_at, now)
    return EXPIRES_SOON if soon else VALID


def with_days(badge: KeyBadge, expires_at: datetime, now: datetime) -> KeyBadge:
    """Return the badge with the days that are left in place of "soon"."""
    if badge != EXPIRES_SOON:
        return badge
    days = days_until(expires_at, now)
    return replace(badge, label=f"Expires in {days} day{'' if days == 1 else 's'}")


def worst(badges: list[KeyBadge]) -> KeyBadge:
    """Return the badge that most needs attention."""
    order = [VALID, EXPIRES_SOON, NOT_ACCEPTED, EXPIRED, REVOKED]
    return max(badges, key=order.index)


def badge_in_list(subscription: Any, now: datetime) -> KeyBadge | None:
    """Return the badge of a subscription's license keys in a list; None without keys.

    Needs `with_state` and `read_license_state`.
    """
    expires_at = subscription.keys_expire_at
    if not subscription.has_keys:
        return None
    if expires_at is None:
        return REVOKED
    if expires_at <= now:
        return EXPIRED
    if subscription.effective_state != State.ACTIVE:
        return NOT_ACCEPTED
    if subscription.has_revoked_key:
        return ONE_REVOKED
    if not subscription.plan.expires_soon(expires_at, now):
        return VALID
    return with_days(EXPIRES_SOON, expires_at, now)
