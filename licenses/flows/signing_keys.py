"""Create, activate, disable and rotate signing keys, with rows in the vendor's own log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from licenses import keys
from licenses.models import LicenseKey, SigningKey, SigningKeyState
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.refusal import Refused

MIN_ROTATION_INTERVAL = timedelta(days=30)
"""The shortest time between two rotations, so that a timer that runs too often does no harm."""


@transaction.atomic
def create_signing_key(
    *, actor: Actor, reason: str = "", now: datetime | None = None
) -> SigningKey:
    """Return a new signing key: published, so that it verifies, but not signing yet."""
    signing_key = keys.create(now=now)
    record(
        actor=actor,
        action=Action.SIGNING_KEY_CREATED,
        reason=reason,
        details={
            "kid": signing_key.kid,
            "before": {"state": None},
            "after": {"state": signing_key.state},
        },
        now=now,
    )
    return signing_key


def signs_from(signing_key: SigningKey) -> datetime:
    """Return from when a signing key may be activated: SIGNING_KEY_PUBLISHED_HOURS after creation.

    By then everybody who verifies keys has fetched it. The very first one may sign at once, since
    nobody can have fetched our keys before.
    """
    if not SigningKey.objects.exclude(activated_at=None).exists():
        return signing_key.created_at
    return signing_key.created_at + timedelta(hours=settings.SIGNING_KEY_PUBLISHED_HOURS)


@transaction.atomic
def activate_signing_key(
    *,
    signing_key: SigningKey,
    actor: Actor,
    reason: str = "",
    is_emergency: bool = False,
    now: datetime | None = None,
) -> SigningKey:
    """Let this key sign from now on; the previous one keeps verifying.

    Raises Refused if it is disabled, or published for too short a time and this is no emergency.
    """
    before = keys.lock(signing_key)
    if before.state == SigningKeyState.ACTIVE:
        return before
    signs, is_passive = signs_from(before), before.state == SigningKeyState.PASSIVE
    if is_passive and not is_emergency and (now or timezone.now()) < signs:
        raise Refused(
            "This signing key was published too recently. It can be activated from "
            f"{moment(signs)} on, when everybody who verifies keys has fetched it."
        )
    former = SigningKey.objects.filter(state=SigningKeyState.ACTIVE).first()
    signing_key = keys.activate(signing_key, now=now)
    record(
        actor=actor,
        action=Action.SIGNING_KEY_ACTIVATED,
        reason=reason,
        details={
            "kid": signing_key.kid,
            "is_emergency": is_emergency,
            "before": {"state": before.state, "signs": former.kid if former else None},
            "after": {"state": signing_key.state, "signs": signing_key.kid},
        },
        now=now,
    )
    return signing_key


def count_accepted_keys(signing_key: SigningKey, *, now: datetime | None = None) -> int:
    """Return how many license keys would be refused if this signing key were disabled now."""
    return LicenseKey.objects.filter(signing_key=signing_key).accepted(now).count()


@transaction.atomic
def disable_signing_key(
    *,
    signing_key: SigningKey,
    actor: Actor,
    reason: str,
    with_new_successor: bool = False,
    now: datetime | None = None,
) -> SigningKey:
    """Withdraw a signing key: every license key that it signed is refused from now on, permanently.

    The active one gets its successor in the same step: the one that waits, however short a time it
    was published, or a new one if there is none or the one that waits is not to be trusted either.
    The worker tells the tenants (`licenses.flows.withdrawals`).
    """
    before = keys.lock(signing_key)
    if before.state == SigningKeyState.DISABLED:
        return before
    if before.state == SigningKeyState.ACTIVE:
        _succeed(is_new=with_new_successor, actor=actor, reason=reason, now=now)
    signing_key = keys.disable(signing_key, now=now)
    record(
        actor=actor,
        action=Action.SIGNING_KEY_DISABLED,
        reason=reason,
        details={
            "kid": signing_key.kid,
            "refused_license_keys": count_accepted_keys(signing_key, now=now),
            "before": {"state": before.state},
            "after": {"state": signing_key.state},
        },
        now=now,
    )
    return signing_key


def _succeed(*, is_new: bool, actor: Actor, reason: str, now: datetime | None) -> None:
    """Let another signing key sign at once."""
    successor = None if is_new else waiting()
    if successor is None:
        successor = create_signing_key(actor=actor, reason=reason, now=now)
    activate_signing_key(
        signing_key=successor, actor=actor, reason=reason, is_emergency=True, now=now
    )


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What one run of a rotation did: `created` and `activated` are None if it did not do that."""

    created: SigningKey | None
    activated: SigningKey | None
    sentence: str


def rotate_signing_key(
    *, actor: Actor, reason: str = "", is_emergency: bool = False, now: datetime | None = None
) -> Rotation:
    """Do the next step of a rotation: create the successor, or activate it when it may sign.

    Run it until the successor is active; extra runs do nothing, since the next rotation begins
    MIN_ROTATION_INTERVAL after the last one at the earliest. In an emergency one run does
    everything.
    """
    now = now or timezone.now()
    active = SigningKey.objects.filter(state=SigningKeyState.ACTIVE).first()
    successor, created = waiting(), None
    if successor is None:
        due = active.activated_at + MIN_ROTATION_INTERVAL if active and active.activated_at else now
        if now < due and not is_emergency:
            return Rotation(
                created=None,
                activated=None,
                sentence=f"Nothing to do: the active signing key is new. The next rotation can "
                f"begin on {moment(due)}.",
            )
        successor = created = create_signing_key(actor=actor, reason=reason, now=now)
    signs = signs_from(successor)
    if now < signs and not is_emergency:
        began = "Created" if created else "Waiting for"
        return Rotation(
            created=created,
            activated=None,
            sentence=f"{began} the signing key {successor.kid}: it is published and can be "
            f"activated from {moment(signs)} on. Run this again then.",
        )
    activated = activate_signing_key(
        signing_key=successor, actor=actor, reason=reason, is_emergency=is_emergency, now=now
    )
    former = f" {active.kid} still verifies." if active else ""
    return Rotation(
        created=created,
        activated=activated,
        sentence=f"The signing key {activated.kid} signs from now on.{former}",
    )


def waiting() -> SigningKey | None:
    """Return the newest signing key that was created and never signed yet."""
    never = SigningKey.objects.filter(state=SigningKeyState.PASSIVE, activated_at=None)
    return never.order_by("-created_at").first()
