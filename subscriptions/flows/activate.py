"""Activate a pending subscription."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import RUNNING, State, Subscription


@transaction.atomic
def activate_subscription(
    *, subscription: Subscription, actor: Actor, reason: str = "", now: datetime | None = None
) -> Subscription:
    """Make a pending subscription active and return it; an active one is returned as it is.

    Operators give a reason, members need none. Raises Refused when it has ended or was suspended.
    """
    now = now or timezone.now()
    locked = lock(Subscription, subscription.pk)
    state = locked.state_at(now)
    if state == State.ENDED:
        raise Refused("This subscription has ended and cannot be activated any more.")
    if state == State.SUSPENDED:
        raise Refused("This subscription is suspended. Only the vendor can resume it.")
    if state in RUNNING:
        return locked
    locked.state = State.ACTIVE
    locked.activated_at = now
    locked.activated_by_id = actor.user_id
    locked.save(update_fields=["state", "activated_at", "activated_by"])
    record(
        actor=actor,
        action=Action.SUBSCRIPTION_ACTIVATED,
        tenant_id=locked.tenant_id,
        subscription=locked,
        reason=reason,
        details={"before": {"state": State.PENDING}, "after": {"state": State.ACTIVE}},
        now=now,
    )
    return locked
