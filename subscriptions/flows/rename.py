"""Rename a subscription."""

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from subscriptions.models import Subscription


@transaction.atomic
def rename_subscription(*, subscription: Subscription, actor: Actor, name: str) -> Subscription:
    """Give the subscription another name and return it; license keys do not contain the name."""
    locked = lock(Subscription, subscription.pk)
    changes = change(locked, {"name": name})
    if changes is not None:
        record(
            actor=actor,
            action=Action.SUBSCRIPTION_RENAMED,
            tenant_id=locked.tenant_id,
            subscription=locked,
            details=changes,
        )
    return locked
