"""Add and edit plans."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.changes import addition, change
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.validation import refuse_invalid
from subscriptions import custom_claims
from subscriptions.models import Plan

RECORDED = ("code", "name", "edition", "urn", "billing_period", "is_offered", "custom_claims")
"""Fields whose values the log records."""


@transaction.atomic
def add_plan(*, plan: Plan, actor: Actor, reason: str) -> Plan:
    """Store a new plan and return it; raises Refused when its fields are inconsistent."""
    refuse_invalid(plan)
    plan.save(force_insert=True)
    _record(plan, Action.RECORD_ADDED, actor, reason, addition(plan, RECORDED))
    return plan


@transaction.atomic
def edit_plan(*, plan: Plan, changes: Mapping[str, object], actor: Actor, reason: str) -> Plan:
    """Change these fields and return the plan; licenses keep it as it was when they were made.

    Missing custom claims of an older plan are added with any change. Raises Refused when the
    fields are inconsistent.
    """
    locked = lock(Plan, plan.pk)
    claims = custom_claims.completed(changes.get("custom_claims", locked.custom_claims))
    details = change(locked, {**changes, "custom_claims": claims})
    if details is not None:
        _record(locked, Action.RECORD_CHANGED, actor, reason, details)
    return locked


def _record(
    plan: Plan, action: Action, actor: Actor, reason: str, details: Mapping[str, Any]
) -> None:
    record(
        actor=actor,
        action=action,
        reason=reason,
        details={"record": "plan", "id": str(plan.pk), "name": str(plan), **details},
    )
