"""The subscriptions of a tenant that leaves: what its export tells, and how they end."""

from uuid import UUID

from django.db import transaction

from portal.activity.pseudonyms import Pseudonyms
from portal.core.actors import SYSTEM
from portal.core.locking import lock
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from subscriptions.flows.suspend_resume_end import end_subscription
from subscriptions.models import Subscription

SECTION = Section(
    name="subscriptions",
    fields=(
        *("id", "plan", "name", "state", "starts_at", "ends_at", "beneficiary_tenant_id"),
        *("beneficiary_object_id", "beneficiary_email", "activated_at", "activated_by"),
        *("state_since", "state_reason", "is_self_started", "labels", "note", "created_at"),
    ),
    rows=lambda tenant: tenant.subscriptions.select_related("plan", "activated_by"),
)


def end_subscriptions(tenant: Tenant, names: Pseudonyms) -> None:
    """End all subscriptions, and erase from their rows what may name somebody."""
    for pk in tenant.subscriptions.order_by("pk").values_list("pk", flat=True).iterator():
        _end(pk, names)


@transaction.atomic
def _end(pk: UUID, names: Pseudonyms) -> None:
    subscription = end_subscription(subscription=lock(Subscription, pk), actor=SYSTEM, reason="")
    Subscription.objects.filter(pk=pk).update(
        name=names.subscription(subscription.name),
        beneficiary_object_id=None,
        beneficiary_email="",
        activated_by=None,
        state_reason="",
        labels="",
        note="",
    )
