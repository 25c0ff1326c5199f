"""What people do with endpoints. Order of locks: tenant, endpoint, then the log's chain."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.accounts.secrets_at_rest import encrypt
from portal.activity.actions import Action, event_types
from portal.activity.changes import addition, change
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from portal.webhooks.addresses import refuse_unusable
from portal.webhooks.models import EVERYTHING, TEST_EVENT, Delivery, Endpoint, Event
from portal.webhooks.sending import new_secret
from portal.webhooks.telling import store

MAX_ENDPOINTS = 10
"""Endpoints of one tenant, and of the vendor."""

MAX_WAITING = 100
"""Deliveries that wait for one endpoint, at which people add no more by hand."""

OVERLAP = timedelta(hours=24)
"""How long the old secret signs beside a new one."""


@transaction.atomic
def add_endpoint(
    *,
    tenant: Tenant | None,
    url: str,
    events: Sequence[str],
    actor: Actor,
    reason: str = "",
    now: datetime | None = None,
) -> tuple[Endpoint, str]:
    """Store a new endpoint and return it with its secret, which nothing shows again.

    Without a tenant it is the vendor's own. Raises Refused for an address that cannot be used or
    that there is already, without events, and for more than MAX_ENDPOINTS.
    """
    now = now or timezone.now()
    if tenant is not None:
        lock(Tenant, tenant.pk)
    secret = new_secret()
    endpoint = Endpoint(
        tenant=tenant,
        url=refuse_unusable(url),
        events=_chosen(events),
        secret=encrypt(secret),
        secret_made_at=now,
        created_at=now,
        created_by_name=actor.name,
    )
    others = Endpoint.objects.kept().filter(tenant=tenant)
    if others.filter(url=endpoint.url).exists():
        raise Refused("There is a webhook to this address already.", field="url")
    if others.count() >= MAX_ENDPOINTS:
        raise Refused(f"There are {MAX_ENDPOINTS} webhooks already. Delete one first.")
    endpoint.save(force_insert=True)
    details = addition(endpoint, ["url", "events"])
    _record(endpoint, actor, Action.WEBHOOK_ADDED, reason, now=now, **details)
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    *, endpoint: Endpoint, url: str, events: Sequence[str], actor: Actor, reason: str = ""
) -> Endpoint:
    """Give the endpoint this address and these events; what waits goes to the new address.

    Raises Refused as `add_endpoint` does.
    """
    locked = _locked(endpoint)
    before = locked.host
    values = {"url": refuse_unusable(url), "events": _chosen(events)}
    try:
        with transaction.atomic():
            details: dict[str, Any] | None = change(locked, values)
    except IntegrityError as error:
        raise Refused("There is a webhook to this address already.", field="url") from error
    if details is not None:
        if "url" in details["after"]:
            _start_anew(locked)
        _record(locked, actor, Action.WEBHOOK_CHANGED, reason, host=before, **details)
    return locked


@transaction.atomic
def rotate_secret(
    *, endpoint: Endpoint, seen: str, actor: Actor, reason: str = "", now: datetime | None = None
) -> tuple[Endpoint, str]:
    """Give the endpoint a new secret and return both; the old one signs too for OVERLAP.

    `seen` is when the secret was made that the person saw (ISO 8601). Raises Refused when it was
    rotated meanwhile: a second rotation would end the one in use.
    """
    now = now or timezone.now()
    locked = _locked(endpoint)
    if locked.secret_made_at.isoformat() != seen:
        raise Refused(
            "The secret was rotated after you opened this page. Nothing was changed; rotate it "
            "again if you do not have the new one."
        )
    secret = new_secret()
    locked.old_secret, locked.old_secret_until = locked.secret, now + OVERLAP
    locked.secret, locked.secret_made_at = encrypt(secret), now
    locked.save(update_fields=["secret", "secret_made_at", "old_secret", "old_secret_until"])
    _record(
        locked,
        actor,
        Action.WEBHOOK_SECRET_ROTATED,
        reason,
        host=locked.host,
        accepted_until=locked.old_secret_until.isoformat(),
    )
    return locked, secret


@transaction.atomic
def switch_off(*, endpoint: Endpoint, actor: Actor, reason: str = "") -> Endpoint:
    """Deliver nothing any more and return the endpoint; what waits is kept. Once is enough."""
    locked = _locked(endpoint)
    if locked.off_at is None:
        locked.off_at, locked.off_error = timezone.now(), ""
        locked.save(update_fields=["off_at", "off_error"])
        _record(locked, actor, Action.WEBHOOK_SWITCHED_OFF, reason, host=locked.host)
    return locked


@transaction.atomic
def switch_on(*, endpoint: Endpoint, actor: Actor, reason: str = "") -> Endpoint:
    """Deliver again, what waited first, and return the endpoint. Once is enough."""
    locked = _locked(endpoint)
    if locked.off_at is not None:
        locked.off_at, locked.off_error = None, ""
        locked.save(update_fields=["off_at", "off_error"])
        _start_anew(locked)
        _record(locked, actor, Action.WEBHOOK_SWITCHED_ON, reason, host=locked.host)
    return locked


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint, actor: Actor, reason: str = "") -> None:
    """End the endpoint for good: its secrets are erased, and what waits is not delivered."""
    locked = _locked(endpoint)
    locked.deleted_at = timezone.now()
    locked.secret = locked.old_secret = ""
    locked.old_secret_until = None
    locked.save(update_fields=["deleted_at", "secret", "old_secret", "old_secret_until"])
    _record(locked, actor, Action.WEBHOOK_DELETED, reason, host=locked.host)


@transaction.atomic
def send_test(*, endpoint: Endpoint, actor: Actor, reason: str = "") -> Event:
    """Queue an event that says nothing, try what waits at once, and return it.

    Raises Refused when the endpoint is switched off, or MAX_WAITING deliveries wait.
    """
    locked = _ready(endpoint)
    event = store(
        [locked],
        kind=TEST_EVENT,
        at=timezone.now(),
        data={"sent_by": actor.name},
        tenant_id=locked.tenant_id,
    )
    _record(locked, actor, Action.WEBHOOK_TESTED, reason, host=locked.host, event=event.name)
    return event


@transaction.atomic
def resend(*, delivery: Delivery, actor: Actor, reason: str = "") -> Delivery:
    """Queue the event once more, behind what waits, try at once, and return the new delivery.

    Receivers get the identifier that it had. Raises Refused as `send_test` does.
    """
    locked, event = _ready(delivery.endpoint), delivery.event
    again = Delivery.objects.create(endpoint=locked, event=event, is_resent=True)
    _record(locked, actor, Action.WEBHOOK_RESENT, reason, host=locked.host, event=event.name)
    return again


def _start_anew(locked: Endpoint) -> None:
    """Try at once what waits, for three days from now: what failed before says nothing any more."""
    locked.failures, locked.retry_at, locked.is_proven = 0, timezone.now(), False
    locked.save(update_fields=["failures", "retry_at", "is_proven"])
    locked.deliveries.waiting().update(first_tried_at=None)


def _ready(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint, locked, whose next delivery is due now."""
    locked = _locked(endpoint)
    if locked.off_at is not None:
        raise Refused("This webhook is switched off. Switch it on first.")
    if locked.deliveries.waiting().count() >= MAX_WAITING:
        raise Refused(
            f"{MAX_WAITING} deliveries or more wait for this webhook; they go out first. Fix the "
            "receiver: they follow by themselves."
        )
    locked.retry_at = timezone.now()
    locked.save(update_fields=["retry_at"])
    return locked


def _locked(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as it is now, locked. Raises Refused when somebody has deleted it.

    `no_key`: an event that is stored meanwhile refers to the row, and would wait for the lock while
    it holds that of the log.
    """
    rows = Endpoint.objects.kept().select_for_update(no_key=True)
    locked = rows.filter(pk=endpoint.pk).first()
    if locked is None:
        raise Refused("Somebody has deleted this webhook.")
    return locked


def _chosen(events: Sequence[str]) -> list[str]:
    if EVERYTHING in events:
        return [EVERYTHING]
    chosen = [event for event in event_types() if event in events]
    if not chosen:
        raise Refused("Choose at least one event.", field="events")
    return chosen


def _record(
    endpoint: Endpoint,
    actor: Actor,
    action: Action,
    reason: str,
    *,
    now: datetime | None = None,
    **details: Any,
) -> None:
    record(
        actor=actor,
        action=action,
        tenant_id=endpoint.tenant_id or VENDOR,
        reason=reason,
        details={"id": str(endpoint.pk), **_without_paths(details)},
        now=now,
    )


def _without_paths(details: dict[str, Any]) -> dict[str, Any]:
    """Return the details with the host of each address alone: its path is often a secret."""
    for values in (details.get("before", {}), details.get("after", {})):
        if "url" in values:
            values["host"] = urlsplit(values.pop("url")).netloc
    return details
