"""The badge of a license key: its state in two words, the same for members and operators."""

from dataclasses import dataclass, replace
from datetime import datetime

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
WITHDRAWN = KeyBadge(label="Withdrawn", tone="bad")
ONE_REVOKED = KeyBadge(label="One key revoked", tone="bad")
ONE_WITHDRAWN = KeyBadge(label="One key withdrawn", tone="bad")
NOT_ACCEPTED = KeyBadge(label="Not accepted", tone="bad")
OVERLAP = KeyBadge(label="Overlap", tone="info")

DEAD = (EXPIRED, REVOKED, WITHDRAWN)
DYING = (EXPIRES_SOON, *DEAD)


def badge_of(key: LicenseKey, subscription: Subscription, now: datetime) -> KeyBadge:
    """Return the badge of a key that is current, or still accepted after its reset."""
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at <= now:
        return EXPIRED
    if key.withdrawn_at is not None:
        return WITHDRAWN
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
    order = [VALID, EXPIRES_SOON, NOT_ACCEPTED, EXPIRED, WITHDRAWN, REVOKED]
    return max(badges, key=order.index)
