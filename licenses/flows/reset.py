"""Reset one slot: a new key for it, while terminals use the other.

`replace_key` is what Reset and Renew share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db.models import TextChoices
from django.utils import timezone

from licenses import notices
from licenses.flows import signing
from licenses.models import KeyState, License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment, moment_beside_utc
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.core.rows import read
from portal.mail import outbox
from portal.tenants.notices import Words
from subscriptions.models import State, Subscription


class Overlap(TextChoices):
    """When the old key of a reset slot stops working; never later than its own expiry."""

    NOW = "now", "Now"
    DAY = "day", "In 24 hours"
    WEEK = "week", "In 7 days"
    EXPIRY = "expiry", "When it expires"


LENGTH = {
    Overlap.NOW: timedelta(0),
    Overlap.DAY: timedelta(hours=24),
    Overlap.WEEK: timedelta(days=7),
}


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """A way to replace the key of a slot: how the log and sentences name it."""

    action: Action
    verb: str
    participle: str


RESET = Replacement(action=Action.KEY_RESET, verb="reset", participle="reset")


TO_DO = "Download it, install it, and check that a terminal starts with it."
"""What is to do with the new license file, for the mail."""

ISSUING = {
    Action.KEYS_GENERATED: "generated",
    Action.KEY_RESET: "reset",
    Action.KEY_RENEWED: "renewed",
}
"""How a key got into its slot."""


class Replaced(Refused):
    """Somebody else replaced the slot's key meanwhile."""


def overlaps(key: LicenseKey, now: datetime) -> tuple[Overlap, ...]:
    """Return the overlaps to choose from; only NOW for a key that passes no check."""
    no_longer_passes = key.revoked_at or key.withdrawn_at or key.expires_at <= now
    return (Overlap.NOW,) if no_longer_passes else tuple(Overlap)


def overlap_end(key: LicenseKey, overlap: Overlap, now: datetime) -> datetime:
    """Return when the old key stops working."""
    if overlap == Overlap.EXPIRY:
        return key.expires_at
    return min(now + LENGTH[overlap], key.expires_at)


def reset_key(
    *,
    license: License,
    slot: Slot,
    actor: Actor,
    overlap: Overlap,
    expected_jti: UUID,
    now: datetime | None = None,
) -> LicenseKey:
    """Sign a new key for the slot from the frozen values of the license, and return it.

    `expected_jti` identifies the key that the member saw in the slot. Raises Refused when it was
    replaced meanwhile (naming by whom and when), when the keys were deleted, when the
    subscription is not active or has another plan than the license, when the overlap is not
    available, or when no key can be signed.
    """
    now = now or timezone.now()

    def refuse_overlap(old: LicenseKey) -> None:
        if overlap not in overlaps(old, now):
            raise Refused(
                "The old key is revoked, withdrawn or expired: it cannot be kept working.",
                field="overlap",
            )

    return replace_key(
        license=license,
        slot=slot,
        actor=actor,
        overlap=overlap,
        expected_jti=expected_jti,
        way=RESET,
        refuse=refuse_overlap,
        now=now,
    )


def replace_key(
    *,
    license: License,
    slot: Slot,
    actor: Actor,
    overlap: Overlap,
    expected_jti: UUID,
    way: Replacement,
    refuse: Callable[[LicenseKey], None],
    now: datetime,
) -> LicenseKey:
    """Sign a new key for the slot and return it; `refuse` judges the old one under the lock.

    Raises Replaced when the slot has another key than the expected one, Refused like `reset_key`.
    """
    return signing.until_current(
        partial(
            _sign_and_store,
            license=license,
            slot=slot,
            actor=actor,
            overlap=overlap,
            expected_jti=expected_jti,
            way=way,
            refuse=refuse,
            now=now,
        ),
        seen=license.subscription,
        read=partial(Subscription.objects.get, pk=license.subscription_id),
    )


def _sign_and_store(
    subscription: Subscription,
    *,
    license: License,
    slot: Slot,
    actor: Actor,
    overlap: Overlap,
    expected_jti: UUID,
    way: Replacement,
    refuse: Callable[[LicenseKey], None],
    now: datetime,
) -> LicenseKey:
    # Signed from what the caller has read: it is frozen, and the rest is read under the lock.
    refuse_unless_replaceable(license, subscription, way, now)
    [new] = signing.signed_keys(
        license=license, subscription=subscription, slots=[slot], actor=actor, now=now
    )
    new.awaits_first_check = True
    with outbox.prepare() as mails:
        notices.notify_of_keys(
            license,
            what=f"{slot.label} key of {subscription.name} was {way.participle}",
            actor=actor,
            consequence=_consequence(license, slot, overlap, now),
        )
    with signing.storing([new]):
        locked = lock(Subscription, subscription.pk)
        old, older = replaceable(license.pk, locked, slot, way, now)
        refuse_unless_expected(old, expected_jti, locked)
        if locked.ends_at != subscription.ends_at:
            raise signing.Outdated
        _refuse_earlier(new, old)
        refuse(old)
        _supersede(old, older, overlap, now)
        signing.store([new])
        record(
            actor=actor,
            action=way.action,
            tenant_id=locked.tenant_id,
            subscription=locked,
            slot=slot,
            details={
                "jti": str(new.jti),
                "replaces": str(old.jti),
                "accepted_until": overlap_end(old, overlap, now).isoformat(),
            },
            now=now,
        )
        outbox.store(mails)
    return new


def _consequence(license: License, slot: Slot, overlap: Overlap, now: datetime) -> Words:
    """Return what the mail says about terminals with the old key, in its reader's zone."""
    keys = {} if overlap == Overlap.NOW else LicenseKey.objects.answered(license.pk, slot)
    if (old := keys.get(KeyState.CURRENT)) is None:
        stopped = "The old key has stopped working: terminals with it need the new license file."
        return f"{stopped} {TO_DO}"
    until = overlap_end(old, overlap, now)
    return lambda: (
        f"Terminals with the old key need the new license file before {moment_beside_utc(until)}. "
        f"{TO_DO}"
    )


def refuse_unless_resettable(license: License, subscription: Subscription, now: datetime) -> None:
    """Raise Refused, with the reason, when no slot of the license can be reset now."""
    refuse_unless_replaceable(license, subscription, RESET, now)


def refuse_unless_replaceable(
    license: License, subscription: Subscription, way: Replacement, now: datetime
) -> None:
    """Raise Refused, with the reason, when no key of the license can be replaced now."""
    if license.deleted_at is not None:
        raise Refused(
            f"{license.deleted_by_name} deleted these license keys on "
            f"{moment(license.deleted_at)}. There is nothing to {way.verb}."
        )
    state = subscription.state_at(now)
    if state != State.ACTIVE:
        raise Refused(
            f"This subscription {state.in_words}. License keys are {way.participle} on "
            "active subscriptions only."
        )
    if license.plan_id != subscription.plan_id:
        raise Refused(
            "The plan of this subscription has changed since the license keys were generated. "
            "Delete them and generate new ones to get keys of the new plan."
        )


def replaceable(
    license_id: UUID, subscription: Subscription, slot: Slot, way: Replacement, now: datetime
) -> tuple[LicenseKey, LicenseKey | None]:
    """Return the slot's current key, with its license, and its superseded one if there is one.

    Raises Refused when the current key cannot be replaced now.
    """
    [license] = read(License, id=license_id)
    license.subscription = subscription
    refuse_unless_replaceable(license, subscription, way, now)
    keys = LicenseKey.objects.answered(license_id, slot)
    current = keys[KeyState.CURRENT]
    current.license = license
    return current, keys.get(KeyState.SUPERSEDED)


def refuse_unless_expected(
    current: LicenseKey, expected_jti: UUID, subscription: Subscription
) -> None:
    """Raise Replaced, naming how and by whom, when the slot has another key than the expected."""
    if current.jti == expected_jti:
        return
    slot = current.get_slot_display().lower()
    issued = LicenseKey.objects.filter(license__subscription=subscription, slot=current.slot)
    if not issued.filter(jti=expected_jti).exists():
        raise Replaced(f"This {slot} slot never had the key {expected_jti}. Nothing was changed.")
    raise Replaced(
        f"{_origin(current, subscription)} the {slot} key on {moment(current.issued_at)}. Nothing "
        "was changed: look at the new key first."
    )


def _refuse_earlier(new: LicenseKey, old: LicenseKey) -> None:
    """Raise Refused where the new key would be issued before the old one: a clock was set back."""
    if new.issued_at < old.issued_at:
        raise Refused(
            f"The clock of this portal is behind the old key, issued on {moment(old.issued_at)}. "
            "Nothing was changed: its operators must set the clock by NTP."
        )


def _origin(key: LicenseKey, subscription: Subscription) -> str:
    """Return who did what to issue the key, by the log as far as retention has kept it."""
    rows = LogEntry.objects.for_tenant(key.tenant_id).for_subscription(subscription.pk)
    row = rows.filter(action__in=ISSUING, slot__in=["", key.slot]).order_by("-seq").first()
    if row is None:
        return f"{key.created_by_name} issued"
    is_token = row.actor_kind == ActorKind.SERVICE_TOKEN
    who = f"The service token “{row.actor_name}”" if is_token else row.actor_name
    return f"{who} {ISSUING[Action(row.action)]}"


def _supersede(old: LicenseKey, older: LicenseKey | None, overlap: Overlap, now: datetime) -> None:
    """Take the old key out of its slot; an older one, still in its overlap, stops at once."""
    if older is not None:
        older.state = KeyState.REPLACED
        older.save(update_fields=["state"])
    old.replaced_at = now
    if overlap == Overlap.NOW:
        old.state = KeyState.REPLACED
    else:
        old.state = KeyState.SUPERSEDED
        old.accepted_until = overlap_end(old, overlap, now)
    old.save(update_fields=["state", "accepted_until", "replaced_at"])
