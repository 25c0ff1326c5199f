"""The badge of a license key: its state in two words, the same for members and operators."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from licenses.models import KeyState, LicenseKey
from portal.core.dates import remaining
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
ONE_VALID = KeyBadge(label="1 of 2 valid", tone="warn")
NOT_ACCEPTED = KeyBadge(label="Not accepted", tone="warn")
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
    return replace(badge, label=f"Expires in {remaining(expires_at, now)}")


def of_both(badges: list[KeyBadge]) -> KeyBadge:
    """Return the badge of a license by those of its two keys: how many work, or else the worse."""
    dead = [badge for badge in badges if badge in DEAD]
    if len(dead) == 1 and NOT_ACCEPTED not in badges:
        return ONE_VALID
    order = [VALID, EXPIRES_SOON, NOT_ACCEPTED, EXPIRED, WITHDRAWN, REVOKED]
    return max(badges, key=order.index)


def badge_in_list(subscription: Any, now: datetime) -> KeyBadge | None:
    """Return the badge of a subscription's license keys in a list; None without keys.

    Needs `with_state` and `read_license_state`.
    """
    if not subscription.has_keys:
        return None
    expires_at = subscription.keys_expire_at
    dead = EXPIRED if expires_at and expires_at <= now else None
    dead = WITHDRAWN if subscription.has_withdrawn_key else dead
    dead = REVOKED if subscription.has_revoked_key else dead
    is_active = subscription.effective_state == State.ACTIVE
    last_until = subscription.keys_last_until
    if dead:
        return ONE_VALID if is_active and last_until and last_until > now else dead
    if not is_active:
        return NOT_ACCEPTED
    if not subscription.plan.expires_soon(expires_at, now):
        return VALID
    return with_days(EXPIRES_SOON, expires_at, now)
