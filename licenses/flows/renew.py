"""Renew one slot without hands: the successor of a key, once, when its end is near."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from licenses.flows.reset import (
    Overlap,
    Replaced,
    Replacement,
    overlaps,
    replace_key,
    replaceable,
)
from licenses.models import License, LicenseKey, Slot
from licenses.reminders import ends_with
from portal.activity.actions import Action
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.refusal import Refused

LATE = timedelta(days=14)
"""How long after its end a key is still renewed."""

RENEWAL = Replacement(action=Action.KEY_RENEWED, verb="renew", participle="renewed")


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The key that the slot has now; `renewed` if this call signed it."""

    key: LicenseKey
    renewed: bool


def renewable_from(key: LicenseKey) -> datetime:
    """Return when the last 30 % of the key's life begin, or when the key was withdrawn."""
    if key.withdrawn_at is not None:
        return key.withdrawn_at
    return key.expires_at - (key.expires_at - key.issued_at) * 3 / 10


def renew(*, license: License, slot: Slot, actor: Actor, now: datetime | None = None) -> Renewal:
    """Replace the slot's current key if its end is near; otherwise return what is there.

    The old key works for 7 more days, at most until it expires. Nothing is signed either when the
    new key would expire no later, because the subscription ends then. A key that was withdrawn is
    replaced at once in any case. Raises Refused like
    `reset_key`, and for a key that is revoked or that ended more than 14 days ago.
    """
    now = now or timezone.now()
    while True:
        current, _ = replaceable(license.pk, license.subscription, slot, RENEWAL, now)
        if not _is_due(current, now):
            return Renewal(key=current, renewed=False)
        # Replaced by somebody who called at the same time, or by a reset: look at the new one.
        with suppress(Replaced):
            new = replace_key(
                license=license,
                slot=slot,
                actor=actor,
                overlap=Overlap.WEEK if Overlap.WEEK in overlaps(current, now) else Overlap.NOW,
                expected_jti=current.jti,
                way=RENEWAL,
                refuse=_refuse_if_revoked,
                now=now,
            )
            return Renewal(key=new, renewed=True)


def _is_due(key: LicenseKey, now: datetime) -> bool:
    """Return whether a successor is signed now; raises Refused when none will be any more."""
    _refuse_if_revoked(key)
    if now > key.expires_at + LATE:
        raise Refused(
            f"The {key.get_slot_display().lower()} key expired on {moment(key.expires_at)}, more "
            f"than {LATE.days} days ago: it is not renewed any more. Reset it instead."
        )
    if key.withdrawn_at is not None:
        return True
    return now >= renewable_from(key) and not ends_with(key, key.license.subscription)


def _refuse_if_revoked(key: LicenseKey) -> None:
    if key.revoked_at is not None:
        raise Refused(
            f"The {key.get_slot_display().lower()} key was revoked: it is not renewed. Reset it "
            "to get a new one."
        )
