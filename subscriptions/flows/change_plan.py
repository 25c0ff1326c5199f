"""Move a subscription to another plan."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.notices import tell_keepers
from portal.refusal import Refused
from subscriptions.links import page_of
from subscriptions.locking import lock
from subscriptions.models import Plan, State, Subscription

CONSEQUENCE = (
    "License keys that exist run on to their expiry. Reset is refused until they are deleted and "
    "new ones, of the new plan, are generated."
)


@transaction.atomic
def change_plan(
    *,
    subscription: Subscription,
    plan: Plan,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> Subscription:
    """Give the subscription this plan, tell owners and managers by mail, and return it.

    Raises Refused when it has ended, or when the plan is not offered.
    """
    now = now or timezone.now()
    locked = lock(subscription.pk)
    if locked.plan_id == plan.pk:
        return locked
    if locked.state_at(now) == State.ENDED:
        raise Refused("This subscription has ended; its plan can not be changed any more.")
    if not plan.is_offered:
        raise Refused(f"The plan {plan} is not offered. Choose another.", field="plan")
    before, locked.plan = locked.plan, plan
    locked.save(update_fields=["plan"])
    tell_keepers(
        locked.tenant_id,
        subject=f"{locked.name}: another plan",
        template="plan",
        subscription=locked,
        before=before,
        consequence=CONSEQUENCE,
        link=page_of(locked),
    )
    activity.record(
        actor=actor,
        action=Action.SUBSCRIPTION_CHANGED,
        tenant_id=locked.tenant_id,
        subscription=locked,
        reason=reason,
        details={"before": {"plan": before.name}, "after": {"plan": plan.name}},
        now=now,
    )
    return locked
