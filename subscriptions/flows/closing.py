"""The subscriptions of a tenant that leaves: what its export tells, and how they end."""

from portal.activity.pseudonyms import Pseudonyms
from portal.core.actors import SYSTEM
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from subscriptions.flows.suspend_resume_end import end_subscription
from subscriptions.models import State, Subscription

SECTION = Section(
    name="subscriptions",
    fields=(
        *("id", "plan", "name", "state", "starts_at", "ends_at", "beneficiary_tenant_id"),
        *("beneficiary_object_id", "beneficiary_email", "activated_at", "activated_by"),
        *("state_since", "state_reason", "is_self_started", "labels", "note", "created_at"),
    ),
    rows=lambda tenant: tenant.subscriptions.select_related("plan", "activated_by"),
)


def end_subscriptions(tenant: Tenant, names: Pseudonyms) -> None:  # noqa: ARG001 (a `Step`)
    """End all subscriptions."""
    for subscription in tenant.subscriptions.exclude(state=State.ENDED).order_by("pk").iterator():
        end_subscription(subscription=subscription, actor=SYSTEM, reason="")


def replace_names(tenant: Tenant, names: Pseudonyms) -> None:
    """Erase from the rows of subscriptions what may name somebody."""
    rows = tenant.subscriptions.order_by("pk").values_list("pk", "name")
    for pk, name in rows.iterator():
        Subscription.objects.filter(pk=pk).update(
            name=names.subscription(name),
            beneficiary_object_id=None,
            beneficiary_email="",
            activated_by=None,
            state_reason="",
            labels="",
            note="",
        )
