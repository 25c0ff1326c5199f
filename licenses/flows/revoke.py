"""Revoke license keys: from then on every check of them is refused."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licenses import notices
from licenses.models import ANSWERED, KeyState, License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import Subscription

CONSEQUENCE = (
    "Terminals with this key do not start until they have a new one: reset the slot, and download "
    "and install its new key."
)
CONSEQUENCES = (
    "Terminals with these keys do not start until they have new ones: reset both slots, and "
    "download and install their new keys."
)


@transaction.atomic
def revoke_key(
    *, key: LicenseKey, actor: Actor, reason: str, now: datetime | None = None
) -> LicenseKey:
    """Revoke the key and return it; one revoked before is returned as it is.

    A revocation ends an overlap and is never undone by a reset. Raises Refused when the key was
    deleted.
    """
    [revoked] = revoke_keys(keys=[key], actor=actor, reason=reason, now=now)
    return revoked


@transaction.atomic
def revoke_keys(
    *, keys: Iterable[LicenseKey], actor: Actor, reason: str, now: datetime | None = None
) -> list[LicenseKey]:
    """Revoke keys of one license as `revoke_key` does, with one mail for all; return them."""
    now = now or timezone.now()
    found = [_revoke(key, actor, reason, now) for key in keys]
    revoked = [key for key, is_new in found if is_new]
    slots = [slot for slot in Slot if any(key.slot == slot for key in revoked)]
    if slots:
        license = revoked[0].license
        which = "Both keys" if slots[1:] else f"{slots[0].label} key"
        notices.notify_of_keys(
            license,
            what=f"{which} of {license.subscription.name} {'were' if slots[1:] else 'was'} revoked",
            reason=reason,
            actor=actor,
            consequence=CONSEQUENCES if slots[1:] else CONSEQUENCE,
        )
    return [key for key, _ in found]


@transaction.atomic
def revoke_slots(*, license: License, slots: list[Slot], actor: Actor, reason: str) -> None:
    """Revoke the keys in these slots that may still pass checks, including those in an overlap.

    Raises Refused when the license keys were deleted.
    """
    answering = license.keys.filter(slot__in=slots, state__in=ANSWERED).order_by("pk")
    if not answering:
        raise Refused("These license keys were deleted; their checks are refused already.")
    revoke_keys(keys=answering, actor=actor, reason=reason)


def _revoke(key: LicenseKey, actor: Actor, reason: str, now: datetime) -> tuple[LicenseKey, bool]:
    """Revoke the key; return it, and whether it was revoked only now."""
    subscription = lock(Subscription, key.license.subscription_id)
    key = LicenseKey.objects.get(pk=key.pk)
    if key.state == KeyState.DELETED:
        raise Refused("This license key was deleted; its checks are refused already.")
    if key.revoked_at is not None:
        return key, False
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    record(
        actor=actor,
        action=Action.KEY_REVOKED,
        tenant_id=key.tenant_id,
        subscription=subscription,
        slot=key.slot,
        reason=reason,
        details={
            "jti": str(key.jti),
            "before": {"revoked_at": None},
            "after": {"revoked_at": now.isoformat()},
        },
        now=now,
    )
    return key, True
