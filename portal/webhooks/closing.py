"""The webhooks of a tenant that leaves: what its export tells, and how they go."""

import json

from portal.activity.pseudonyms import Pseudonyms
from portal.core.actors import ActorKind
from portal.core.steps import ROWS_PER_STEP, read_along, remove_in_steps
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from portal.webhooks.models import Attempt, Delivery, DeliveryQuerySet, Endpoint, Event
from portal.webhooks.telling import as_body

SECTIONS = (
    Section(
        name="webhooks",
        fields=(
            *("id", "url", "events", "created_at", "created_by_name", "secret_made_at"),
            *("old_secret_until", "off_at", "off_error", "deleted_at", "failures", "retry_at"),
        ),
        rows=lambda tenant: tenant.webhook_endpoints.all(),
    ),
    Section(
        name="webhook-deliveries",
        fields=(
            *("id", "endpoint_id", "event_id", "event__type", "event__body", "state"),
            *("is_resent", "created_at", "first_tried_at", "finished_at"),
        ),
        rows=lambda tenant: _deliveries(tenant).select_related("event"),
    ),
    Section(
        name="webhook-attempts",
        fields=("delivery_id", "at", "milliseconds", "headers", "code", "answer", "error"),
        rows=lambda tenant: Attempt.objects.filter(delivery__endpoint__tenant=tenant),
    ),
)


def is_still_told(tenant: Tenant) -> bool:
    """Return whether events of its end still wait for one of its endpoints."""
    return _deliveries(tenant).waiting().filter(endpoint__in=Endpoint.objects.on()).exists()


def remove_endpoints(tenant: Tenant, names: Pseudonyms) -> None:  # noqa: ARG001 (a `Step`)
    """Remove the endpoints and what was to be told to them."""
    remove_in_steps(_deliveries(tenant))
    remove_in_steps(tenant.webhook_endpoints.all())


def remove_events(tenant: Tenant, names: Pseudonyms) -> None:
    """Remove the events of the tenant; in those for the vendor's endpoints replace the names.

    Receivers may have repeated a name in their answers, so that these go too.
    """
    events = Event.objects.filter(tenant_id=tenant.pk)
    remove_in_steps(events.filter(deliveries=None))
    Attempt.objects.filter(delivery__event__in=events).update(answer="")
    for event in read_along(events, "pk", ROWS_PER_STEP):
        Event.objects.filter(pk=event.pk).update(body=_without_names(event.body, names))


def _without_names(body: str, names: Pseudonyms) -> str:
    payload = json.loads(body)
    data = payload["data"]
    actor, subscription = data["actor"], data["subscription"]
    if actor["kind"] != ActorKind.OPERATOR:  # told as the vendor
        actor["name"] = names.text(actor["name"])
    if subscription:
        subscription["name"] = names.subscription(subscription["name"])
    data["reason"] = names.text(data["reason"] or "") or None
    data["details"] = names.details(payload["type"], data["details"])
    return as_body(payload)


def _deliveries(tenant: Tenant) -> DeliveryQuerySet:
    return Delivery.objects.filter(endpoint__tenant=tenant)
