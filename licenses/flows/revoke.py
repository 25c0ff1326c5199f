"""Revoke one license key: every check of it is refused from now on."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licenses import notices
from licenses.models import KeyState, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import Subscription


@transaction.atomic
def revoke_key(
    *, key: LicenseKey, actor: Actor, reason: str, now: datetime | None = None
) -> LicenseKey:
    """Revoke the key and return it; one revoked before is returned as it is.

    A revocation ends an overlap and is never undone by a reset. Raises Refused when the key was
    deleted.
    """
    now = now or timezone.now()
    subscription = lock(Subscription, key.license.subscription_id)
    key = LicenseKey.objects.get(pk=key.pk)
    if key.state == KeyState.DELETED:
        raise Refused("This license key was deleted; its checks are refused already.")
    if key.revoked_at is not None:
        return key
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
    slot = Slot(key.slot)
    notices.tell(
        key.license,
        what=f"revoked the {slot.label.lower()} key",
        actor=actor,
        consequence="Terminals with this key do not start until they have a new one: reset the "
        "slot, and download and install its new key.",
    )
    return key
