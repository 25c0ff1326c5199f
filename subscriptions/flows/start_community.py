"""Start a tenant's one free community subscription."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from portal.tenants.open_tenants import refuse_closing
from subscriptions.models import Plan, PlanQuerySet, State, Subscription

COMMUNITY_PLAN = "community"
"""The code of the plan that tenants may start themselves."""


def startable_plans(tenant_id: UUID) -> PlanQuerySet:
    """Return the community plan, if it is offered and the tenant has not started one before."""
    started = Subscription.objects.filter(tenant=tenant_id, is_self_started=True)
    return Plan.objects.offered().filter(~Exists(started), code=COMMUNITY_PLAN)


def start_community_subscription(
    *, tenant: Tenant, actor: Actor, now: datetime | None = None
) -> Subscription:
    """Return a new active community subscription of the tenant.

    Raises Refused when the tenant has started one before, or closes, or when none is offered.
    """
    now = now or timezone.now()
    plan = Plan.objects.offered().filter(code=COMMUNITY_PLAN).first()
    if plan is None:
        raise Refused("The free community plan is not offered at present.")
    subscription = Subscription(
        tenant=tenant,
        plan=plan,
        name="Community",
        state=State.ACTIVE,
        starts_at=now,
        beneficiary_tenant_id=tenant.pk,
        beneficiary_object_id=actor.user_id,
        beneficiary_email=actor.email,
        activated_at=now,
        activated_by_id=actor.user_id,
        is_self_started=True,
    )
    try:
        with transaction.atomic():
            refuse_closing(lock(Tenant, tenant.pk))
            subscription.save(force_insert=True)
            record(
                actor=actor,
                action=Action.SUBSCRIPTION_STARTED,
                tenant_id=tenant.pk,
                subscription=subscription,
                now=now,
            )
    except IntegrityError as error:
        raise Refused(
            "Your tenant has started its free community subscription already. You find it in the "
            "list of subscriptions."
        ) from error
    return subscription
