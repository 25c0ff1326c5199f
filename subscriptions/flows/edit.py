"""Edit the name, start and beneficiary of a subscription."""

from collections.abc import Mapping

from django.db import transaction

from portal.core.actors import Actor
from portal.core.locking import lock
from subscriptions.flows.changes import change_and_record
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
    change_and_record(locked, changes, actor=actor, reason=reason)
    return locked
