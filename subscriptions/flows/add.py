"""Add a subscription that a tenant bought."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.refusal import Refused
from subscriptions.models import State, Subscription


@transaction.atomic
def add(*, subscription: Subscription, actor: Actor, reason: str) -> Subscription:
    """Store a new, pending subscription and return it.

    Raises Refused when its plan is not offered, or when its columns do not fit one another.
    """
    if not subscription.plan.is_offered:
        raise Refused(f"The plan {subscription.plan} is not offered. Choose another.", field="plan")
    subscription.state = State.PENDING
    try:
        subscription.full_clean()
    except ValidationError as error:
        field, [sentence, *_] = next(iter(error.message_dict.items()))
        raise Refused(sentence, field=field) from error
    subscription.save(force_insert=True)
    activity.record(
        actor=actor,
        action=Action.SUBSCRIPTION_ADDED,
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        reason=reason,
        details={"before": {}, "after": _told(subscription)},
    )
    return subscription


def _told(subscription: Subscription) -> dict[str, Any]:
    return {
        "tenant": subscription.tenant.name,
        "plan": subscription.plan.name,
        "name": subscription.name,
        "state": subscription.state,
        "starts_at": subscription.starts_at.isoformat(),
        "ends_at": subscription.ends_at.isoformat() if subscription.ends_at else None,
        "beneficiary_tenant_id": str(subscription.beneficiary_tenant_id),
        "beneficiary_email": subscription.beneficiary_email,
    }
