"""What the License Keys card shows and offers."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from licenses.flows.download import refuse_unless_downloadable
from licenses.flows.signing import expiry
from licenses.holder_name import has_braces
from licenses.models import License, LicenseKey, Slot
from licenses.web.configuration import Configuration, configurations
from portal.core.dates import days_until
from portal.core.refusal import Refused
from portal.tenants.models import Member, Role
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
NOT_ACCEPTED = KeyBadge(label="Not accepted", tone="bad")


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """One slot of the card: its key, and what may be done with it."""

    slot: Slot
    key: LicenseKey
    old: LicenseKey | None
    state: KeyBadge
    days_left: int
    shows_key: bool
    can_download: bool
    can_check: bool
    can_reset: bool
    can_end_overlap: bool
    resets_until: datetime | None
    """The expiry that a reset would give, if the end date that cut it short has since moved."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The License Keys card of one subscription, for one member."""

    license: License | None
    slots: list[SlotView]
    state: KeyBadge | None
    can_generate: bool
    can_check: bool
    can_delete: bool
    plan_changed: bool
    configurations: list[Configuration]
    crashes_terminals: bool
    """The holder's name has a brace, from before braces were refused: terminals of 2022 crash."""


def license_card(
    subscription: Subscription,
    member: Member,
    *,
    hands_out: bool = True,
    now: datetime | None = None,
) -> Card:
    """Return what the member sees on the card, in at most four queries, however long the history.

    A support view hands nothing out (`hands_out` is false): no keys, no downloads, and no checks,
    which would be recorded.
    """
    now = now or timezone.now()
    state = subscription.state_at(now)
    manages = member.may(Role.MANAGER)
    license = License.objects.not_deleted().filter(subscription=subscription).first()
    if license is None:
        return Card(
            license=None,
            slots=[],
            state=None,
            can_generate=manages and state == State.ACTIVE,
            can_check=hands_out,
            can_delete=False,
            plan_changed=False,
            configurations=[],
            crashes_terminals=False,
        )
    plan_changed = license.plan_id != subscription.plan_id
    old_keys = {key.slot: key for key in license.keys.overlapping(now)}
    slots = [
        _slot_view(
            key,
            old=old_keys.get(key.slot),
            subscription=subscription,
            manages=manages,
            hands_out=hands_out,
            renews=state == State.ACTIVE and not plan_changed,
            now=now,
        )
        for key in license.keys.current().with_last_check().order_by("slot")
    ]
    return Card(
        license=license,
        slots=slots,
        state=worst([view.state for view in slots]),
        can_generate=False,
        can_check=hands_out,
        can_delete=manages,
        plan_changed=plan_changed,
        configurations=configurations(license, subscription_name=subscription.name),
        crashes_terminals=has_braces(license.holder_name),
    )


def key_state(key: LicenseKey, subscription: Subscription, now: datetime) -> KeyBadge:
    """Return the badge of a current key."""
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at <= now:
        return EXPIRED
    if subscription.state_at(now) != State.ACTIVE:
        return NOT_ACCEPTED
    soon = subscription.plan.expires_soon(key.expires_at, now)
    return EXPIRES_SOON if soon else VALID


def worst(states: list[KeyBadge]) -> KeyBadge:
    """Return the badge that most needs attention."""
    order = [VALID, EXPIRES_SOON, NOT_ACCEPTED, EXPIRED, REVOKED]
    return max(states, key=order.index)


def _slot_view(
    key: LicenseKey,
    *,
    old: LicenseKey | None,
    subscription: Subscription,
    manages: bool,
    hands_out: bool,
    renews: bool,
    now: datetime,
) -> SlotView:
    try:
        refuse_unless_downloadable(key, subscription.state_at(now), now)
        can_download = hands_out
    except Refused:
        can_download = False
    resets_until = _longer_expiry(key, subscription, now) if renews else None
    return SlotView(
        slot=Slot(key.slot),
        key=key,
        old=old,
        state=key_state(key, subscription, now),
        days_left=days_until(key.expires_at, now),
        shows_key=hands_out,
        can_download=can_download,
        can_check=hands_out,
        can_reset=manages and renews,
        can_end_overlap=manages and old is not None,
        resets_until=resets_until,
    )


def _longer_expiry(key: LicenseKey, subscription: Subscription, now: datetime) -> datetime | None:
    """Return the expiry after a reset, if the end date that cut the key short has since moved."""
    days, ends_at = key.license.days, subscription.ends_at
    try:
        whole = expiry(issued_at=key.issued_at, days=days, ends_at=ends_at)
        if key.revoked_at is not None or whole <= key.expires_at:
            return None
        return expiry(issued_at=now, days=days, ends_at=ends_at)
    except Refused:
        return None
