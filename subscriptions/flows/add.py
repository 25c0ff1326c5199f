"""Add a subscription that a tenant bought."""

from datetime import datetime

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.changes import addition
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.core.validation import refuse_invalid
from portal.tenants.models import Tenant
from portal.tenants.open_tenants import refuse_closing
from subscriptions.models import State, Subscription

RECORDED = (
    "tenant",
    "plan",
    "name",
    "state",
    "starts_at",
    "ends_at",
    "beneficiary_tenant_id",
    "beneficiary_email",
)
"""Fields whose values the log records."""


@transaction.atomic
def add_subscription(
    *, subscription: Subscription, actor: Actor, reason: str, now: datetime | None = None
) -> Subscription:
    """Store a new, pending subscription and return it.

    Raises Refused when its plan is not offered, when its fields are inconsistent, or when its
    tenant closes.
    """
    refuse_closing(lock(Tenant, subscription.tenant_id))
    if not subscription.plan.is_offered:
        raise Refused(f"The plan {subscription.plan} is not offered. Choose another.", field="plan")
    subscription.state = State.PENDING
    refuse_invalid(subscription)
    subscription.save(force_insert=True)
    record(
        actor=actor,
        action=Action.SUBSCRIPTION_ADDED,
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        reason=reason,
        details=addition(subscription, RECORDED),
        now=now,
    )
    return subscription
