"""The webhooks of a tenant that leaves: what its export tells, and how they go."""

from portal.activity.pseudonyms import Pseudonyms
from portal.core.steps import remove_in_steps
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from portal.webhooks.models import Delivery, DeliveryQuerySet

SECTIONS = (
    Section(
        name="webhooks",
        fields=("id", "url", "events", "created_at", "created_by_name", "off_at", "deleted_at"),
        rows=lambda tenant: tenant.webhook_endpoints.all(),
    ),
    Section(
        name="webhook-deliveries",
        fields=(
            *("id", "endpoint_id", "event_id", "event__type", "event__body", "state"),
            *("created_at", "first_tried_at", "finished_at"),
        ),
        rows=lambda tenant: _deliveries(tenant).select_related("event"),
    ),
)


def remove_endpoints(tenant: Tenant, names: Pseudonyms) -> None:  # noqa: ARG001 (a `Step`)
    """Remove the endpoints and all that was to be told to them; the vendor's are told the rest."""
    remove_in_steps(_deliveries(tenant))
    remove_in_steps(tenant.webhook_endpoints.all())


def _deliveries(tenant: Tenant) -> DeliveryQuerySet:
    return Delivery.objects.filter(endpoint__tenant=tenant)
