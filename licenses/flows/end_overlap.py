"""End the overlap of a slot early: its old key stops now."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from licenses import notices
from licenses.flows.reset import refuse_unless_expected
from licenses.models import KeyState, License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import Subscription


@transaction.atomic
def end_key_overlap(
    *,
    license: License,
    slot: Slot,
    actor: Actor,
    expected_jti: UUID,
    now: datetime | None = None,
) -> LicenseKey:
    """Make the slot's superseded key `replaced` and return it.

    `expected_jti` identifies the current key that was seen beside it. Raises Replaced when the slot
    has another one, so that another key is the old one now, and Refused when the slot has no
    overlap any more.
    """
    now = now or timezone.now()
    subscription = lock(Subscription, license.subscription_id)
    current = license.keys.current().filter(slot=slot).first()
    if current is not None:
        refuse_unless_expected(current, expected_jti, subscription)
    old = license.keys.overlapping(now).filter(slot=slot).first()
    if old is None:
        raise Refused(
            f"No old {slot.label.lower()} key is accepted any more: its overlap is over already."
        )
    old.state = KeyState.REPLACED
    old.accepted_until = now
    old.save(update_fields=["state", "accepted_until"])
    record(
        actor=actor,
        action=Action.OVERLAP_ENDED,
        tenant_id=license.tenant_id,
        subscription=subscription,
        slot=slot,
        details={"jti": str(old.jti)},
        now=now,
    )
    notices.notify_of_keys(
        license,
        what=f"Old {slot.label.lower()} key of {subscription.name} was stopped",
        actor=actor,
        consequence="Terminals with the old key do not start until they have the new license file.",
    )
    return old
