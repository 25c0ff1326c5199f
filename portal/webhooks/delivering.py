"""What the worker does with events: it delivers them, in order for each endpoint.

The next event of an endpoint waits until the one before is delivered or given up. Delivered means
at least once: when a worker dies between sending an event and noting it, another sends it again,
with the same identifier. Threads only send; this one alone reads and writes the database.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.core.actors import SYSTEM
from portal.core.links import public_link
from portal.core.steps import remove_in_steps
from portal.mail import outbox
from portal.metrics.installation import WEBHOOK_DELIVERIES
from portal.tenants.notices import notify
from portal.webhooks.models import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointQuerySet,
    Event,
)
from portal.webhooks.secrets import signing_secrets
from portal.webhooks.sending import GONE, Answer, Request, send

logger = logging.getLogger("portal.webhooks")

AT_ONCE = 32
"""Deliveries of one worker at a time."""

UNPROVEN_AT_ONCE = AT_ONCE // 2
"""Of these, to endpoints that failed last or were not tried yet: the others find a place."""

LEASE = timedelta(seconds=60)
"""How long an endpoint is reserved for one worker: longer than an attempt and its noting take."""

MIN_PAUSE = timedelta(seconds=5)
MAX_PAUSE = timedelta(hours=1)
"""Longest pause after a failure: MIN_PAUSE doubles with each one, up to this."""

JITTER = 0.25
"""Largest share that chance adds to a pause: receivers that failed together are not tried so."""

MAX_TRIED_FOR = timedelta(days=3)
"""After this a delivery is given up, and its endpoint is switched off."""

MAX_KEPT_FOR = timedelta(days=30)
"""How long an event is kept, with its deliveries."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A delivery that this worker alone sends now."""

    delivery: Delivery
    request: Request
    is_proven: bool


def deliver_due(*, stopped: Callable[[], bool] = lambda: False) -> int:
    """Deliver what is due until nothing is, or `stopped()`; return how many were delivered.

    What is under way is finished. Several workers may do so at once. Raises DatabaseError.
    """
    delivered, under_way = 0, dict[Future[Answer], Claimed]()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as threads:
        while True:
            if not stopped():
                for claimed in _claim_some([*under_way.values()]):
                    under_way[threads.submit(send, claimed.request)] = claimed
            if not under_way:
                return delivered
            # Not longer: what happens meanwhile does not wait for somebody slow.
            done, _ = wait(under_way, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                delivered += finish(under_way.pop(future).delivery, future.result())


def _claim_some(under_way: list[Claimed]) -> list[Claimed]:
    """Return deliveries to begin now, as many as there are places."""
    places = AT_ONCE - len(under_way)
    unproven = sum(not claimed.is_proven for claimed in under_way)
    found: list[Claimed] = []
    if not places:
        return found
    for endpoint in Endpoint.objects.due(timezone.now())[:AT_ONCE]:
        is_proven = endpoint.is_proven
        if len(found) == places or (not is_proven and unproven >= UNPROVEN_AT_ONCE):
            break  # those that are proven come first
        claimed = claim(endpoint)
        if claimed is not None:
            found.append(claimed)
            unproven += not is_proven
    return found


def claim(endpoint: Endpoint, *, now: datetime | None = None) -> Claimed | None:
    """Reserve the endpoint for this worker, and return its first delivery.

    None when another worker has the endpoint, or nothing waits for it any more.
    """
    now = now or timezone.now()
    if not _lease(Endpoint.objects.on().filter(pk=endpoint.pk), now):
        return None
    endpoint.refresh_from_db()
    delivery = endpoint.deliveries.waiting().select_related("event").first()
    try:
        secrets = signing_secrets(endpoint, now) if delivery else ()
    except ImproperlyConfigured as error:
        logger.error("Nothing is delivered to %s: %s", endpoint.pk, error)
        return None  # until the lease ends
    if delivery is None:
        Endpoint.objects.filter(pk=endpoint.pk).update(leased_until=now)
        return None
    request = Request(
        url=endpoint.url,
        event_id=delivery.event.name,
        body=delivery.event.body,
        secrets=secrets,
    )
    return Claimed(delivery=delivery, request=request, is_proven=endpoint.is_proven)


def _lease(endpoint: EndpointQuerySet, now: datetime) -> bool:
    """Return whether no other worker had the endpoint by now."""
    return bool(endpoint.filter(leased_until__lte=now).update(leased_until=now + LEASE))


@transaction.atomic
def finish(delivery: Delivery, answer: Answer, *, now: datetime | None = None) -> bool:
    """Note what came of an attempt; return whether the event was delivered.

    An endpoint that answers 410 (Gone), or nothing for MAX_TRIED_FOR, is switched off.
    """
    now = now or timezone.now()
    rows = Endpoint.objects.select_for_update(no_key=True)
    endpoint = rows.filter(pk=delivery.endpoint_id, deliveries=delivery.pk).first()
    if endpoint is None:  # removed meanwhile, with its tenant
        return answer.is_delivered
    Attempt.objects.create(
        delivery=delivery,
        at=now,
        milliseconds=answer.milliseconds,
        code=answer.code,
        answer=answer.text,
        error=answer.error,
        headers=answer.headers,
    )
    first = delivery.first_tried_at or now
    endpoint.leased_until, endpoint.is_proven = now, answer.is_delivered
    if answer.is_delivered:
        _end(delivery, DeliveryState.DELIVERED, first, now)
        endpoint.failures = 0
    else:
        endpoint.failures += 1
        endpoint.retry_at = now + spread(pause(endpoint.failures, answer.retry_after))
        Delivery.objects.filter(pk=delivery.pk).update(first_tried_at=first)
    endpoint.save(update_fields=["leased_until", "is_proven", "failures", "retry_at"])
    if not answer.is_delivered and (answer.code == GONE or now - first >= MAX_TRIED_FOR):
        _end(delivery, DeliveryState.GIVEN_UP, first, now)
        _switch_off(endpoint, answer, now)
    WEBHOOK_DELIVERIES.add("delivered" if answer.is_delivered else "failed")
    return answer.is_delivered


def pause(failures: int, asked: int = 0) -> timedelta:
    """Return how long to wait after so many failures; `asked` are seconds of Retry-After."""
    grown = MIN_PAUSE * 2 ** min(failures - 1, 16)
    return min(max(grown, timedelta(seconds=asked)), MAX_PAUSE)


def spread(length: timedelta) -> timedelta:
    """Return the pause, longer by a share up to JITTER."""
    return length * (1 + SystemRandom().uniform(0, JITTER))


def _end(delivery: Delivery, state: DeliveryState, first: datetime, now: datetime) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        state=state, first_tried_at=first, finished_at=now
    )


def _switch_off(endpoint: Endpoint, answer: Answer, now: datetime) -> None:
    """Switch the endpoint off for the portal, and mail whom it concerns."""
    if endpoint.off_at is not None or endpoint.deleted_at is not None:
        return
    error = answer.error or f"The receiver answered with status {answer.code}."
    endpoint.off_at, endpoint.off_error = now, error
    endpoint.save(update_fields=["off_at", "off_error"])
    record(
        actor=SYSTEM,
        action=Action.WEBHOOK_SWITCHED_OFF,
        tenant_id=endpoint.tenant_id or VENDOR,
        details={"id": str(endpoint.pk), "host": endpoint.host, "error": error},
        now=now,
    )
    subject = f"Webhook to {endpoint.host} was switched off"
    consequence = (
        f"{error} What waits is kept for 30 days and delivered, in order, when the webhook is "
        "switched on again. What happens until then is in the log alone."
    )
    if endpoint.tenant_id is not None:
        link = public_link(reverse("webhooks:detail", args=[endpoint.pk]))
        lead = "Fix the receiver and switch it on again"
        notify(
            endpoint.tenant_id,
            topic=None,
            subject=subject,
            consequence=consequence,
            lead=lead,
            link=link,
        )
        return
    link = public_link(reverse("admin:portal_endpoint_change", args=[endpoint.pk]))
    context = {
        "what": f"{subject}.",
        "consequence": consequence,
        "lead": "Fix the receiver and switch it on again",
        "link": link,
    }
    for operator in User.objects.filter(is_superuser=True, is_active=True):
        outbox.queue(to=operator.email, subject=subject, template="news", context=context)


def prune(*, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove events after MAX_KEPT_FOR, with their deliveries; return how many events.

    Endpoints that were deleted before go too, and secrets whose rotation is over.
    """
    now = now or timezone.now()
    before = now - MAX_KEPT_FOR
    removed = remove_in_steps(
        Event.objects.filter(created_at__lt=before).order_by("created_at"), stopped=stopped
    )
    remove_in_steps(Endpoint.objects.filter(deleted_at__lt=before), stopped=stopped)
    Endpoint.objects.filter(old_secret_until__lt=now).update(old_secret="", old_secret_until=None)
    return removed
