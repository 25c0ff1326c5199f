"""Edit the name, start and beneficiary of a subscription."""

from collections.abc import Mapping

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from subscriptions.models import Subscription


@transaction.atomic
def edit_subscription(
    *, subscription: Subscription, changes: Mapping[str, object], actor: Actor, reason: str
) -> Subscription:
    """Change these fields and return the subscription.

    State, plan and end date have flows of their own. Raises Refused when the fields are
    inconsistent.
    """
    locked = lock(Subscription, subscription.pk)
    details = change(locked, changes)
    if details is not None:
        record(
            actor=actor,
            action=Action.SUBSCRIPTION_CHANGED,
            tenant_id=locked.tenant_id,
            subscription=locked,
            reason=reason,
            details=details,
        )
    return locked
