"""What all flows that change a subscription end with."""

from collections.abc import Mapping
from datetime import datetime

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core.actors import Actor
from subscriptions.models import Subscription


def change_and_record(
    locked: Subscription,
    values: Mapping[str, object],
    *,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> None:
    """Store these fields of a locked subscription, and record what differs, if anything does.

    Raises Refused when the fields are inconsistent.
    """
    details = change(locked, values)
    if details is not None:
        record(
            actor=actor,
            action=Action.SUBSCRIPTION_CHANGED,
            tenant_id=locked.tenant_id,
            subscription=locked,
            reason=reason,
            details=details,
            now=now,
        )
