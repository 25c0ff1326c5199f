"""Events are stored with what they tell: in the transaction that writes the row of the log."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from portal.activity.actions import event_of, told
from portal.activity.entries import LISTENERS
from portal.activity.models import LogEntry
from portal.core.actors import ActorKind
from portal.core.rows import read
from portal.webhooks.models import Delivery, Endpoint, Event


def tell(entry: LogEntry) -> None:
    """Store the event of a row for the endpoints that want it; the worker delivers it.

    Costs one indexed query where nobody is told, and nothing for what is no event.
    """
    kind = event_of(entry.action, entry.details)
    if not kind:
        return
    # Its own are told what happens in the tenant, and the vendor's.
    found = read(Endpoint, tenant=[entry.tenant_id, None], deleted_at=None, off_at=None)
    endpoints = [endpoint for endpoint in found if endpoint.wants(kind)]
    if endpoints:
        store(endpoints, kind=kind, at=entry.at, data=_data(entry), tenant_id=entry.tenant_id)


LISTENERS.append(tell)


def store(
    endpoints: list[Endpoint],
    *,
    kind: str,
    at: datetime,
    data: dict[str, Any],
    tenant_id: UUID | None,
) -> Event:
    """Store an event and its delivery to each endpoint, in the caller's transaction."""
    payload = {"type": kind, "timestamp": _moment(at), "data": data}
    body = as_body(payload)
    event = Event.objects.create(type=kind, body=body, created_at=at, tenant_id=tenant_id)
    Delivery.objects.bulk_create(
        Delivery(endpoint=endpoint, event=event, created_at=at) for endpoint in endpoints
    )
    return event


def as_body(payload: dict[str, Any]) -> str:
    """Return the payload as it is signed and sent."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _data(entry: LogEntry) -> dict[str, Any]:
    """Return what an event tells: the row of the log, without email and network addresses.

    `log_sequence` is the row's number in the log of the tenant. The reason is what a person wrote.
    """
    subscription = {"id": str(entry.subscription_id), "name": entry.subscription_name}
    operator = entry.actor_kind == ActorKind.OPERATOR
    return {
        "tenant_id": str(entry.tenant_id),
        "log_sequence": entry.seq,
        "actor": {
            "kind": str(entry.actor_kind),
            "name": "The vendor" if operator else entry.actor_name,
        },
        "subscription": subscription if entry.subscription_id else None,
        "slot": str(entry.slot) or None,
        "reason": entry.reason or None,
        "details": told(entry.details),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
