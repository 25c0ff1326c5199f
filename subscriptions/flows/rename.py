"""Rename a subscription."""

from django.db import transaction

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from subscriptions.locking import lock
from subscriptions.models import Subscription


@transaction.atomic
def rename(*, subscription: Subscription, actor: Actor, name: str) -> Subscription:
    """Give the subscription another name and return it; license keys do not hold the name."""
    locked = lock(subscription.pk)
    if locked.name == name:
        return locked
    before, locked.name = locked.name, name
    locked.save(update_fields=["name"])
    activity.record(
        actor=actor,
        action=Action.SUBSCRIPTION_RENAMED,
        tenant_id=locked.tenant_id,
        subscription=locked,
        details={"before": before, "after": name},
    )
    return locked
