"""Move a subscription to another plan."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.flows.changes import change_and_record, notify_of_subscription
from subscriptions.models import Plan, State, Subscription

CONSEQUENCE = (
    "License keys that exist run on to their expiry. Reset is refused until they are deleted and "
    "new ones, of the new plan, are generated."
)


@transaction.atomic
def change_subscription_plan(
    *,
    subscription: Subscription,
    plan: Plan,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> Subscription:
    """Give the subscription this plan, mail owners and managers, and return it.

    Raises Refused when it has ended, or when the plan is not offered.
    """
    now = now or timezone.now()
    locked = lock(Subscription, subscription.pk)
    if locked.plan_id == plan.pk:
        return locked
    if locked.state_at(now) == State.ENDED:
        raise Refused("This subscription has ended; its plan cannot be changed any more.")
    if not plan.is_offered:
        raise Refused(f"The plan {plan} is not offered. Choose another.", field="plan")
    before = locked.plan
    change_and_record(locked, {"plan": plan}, actor=actor, reason=reason, now=now)
    notify_of_subscription(
        locked,
        what=f"Plan of {locked.name} was changed from {before.name} to {plan.name}",
        actor=actor,
        reason=reason,
        consequence=CONSEQUENCE,
    )
    return locked
