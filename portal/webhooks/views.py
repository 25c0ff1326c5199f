"""Pages of a tenant's webhooks, for its owners and managers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.accounts.proof import kept_post, purpose, recent_proof
from portal.activity.actions import event_types
from portal.tenants.access import TenantRequest, posted_for_tenant, tenant_role
from portal.tenants.models import Role
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import done, form_page, page, with_secret
from portal.web.paging import keyset_page
from portal.webhooks import flows
from portal.webhooks.delivering import MAX_KEPT_FOR
from portal.webhooks.forms import EndpointForm, RotateForm
from portal.webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

CHANGED = "webhook-changed"
DELIVERIES_PER_PAGE = 50
MAX_ATTEMPTS = 100
"""Attempts on the page of a delivery, the newest first."""

WAITING = Count("deliveries", filter=Q(deliveries__state=DeliveryState.WAITING))


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a dialog says: consequence first, and a button that repeats it.

    `done` is said afterwards; `then` is where to go in place of the endpoint.
    """

    title: str
    text: str
    button: str
    done: str = ""
    is_dangerous: bool = False
    then: str = ""


@require_safe
@tenant_role(Role.MANAGER)
def listing(request: TenantRequest) -> HttpResponse:
    """Show the tenant's endpoints."""
    endpoints = request.tenant.webhook_endpoints.kept().annotate(waiting=WAITING)
    context = {"endpoints": endpoints, "may_add": len(endpoints) < flows.MAX_ENDPOINTS}
    return page(request, "webhooks/list.html", context)


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request: f"add a webhook to {request.tenant}")
def add(request: TenantRequest) -> HttpResponse:
    """Add an endpoint; the answer shows its secret, once."""
    initial = _kept(request) or {"events": event_types()}
    form = EndpointForm(posted_for_tenant(request), initial=initial)
    if form.is_valid():
        with refusals_on(form):
            endpoint, secret = flows.add_endpoint(
                tenant=request.tenant, actor=request.actor, **form.cleaned_data
            )
            return _secret(request, endpoint, secret)
    words = {"title": "Add webhook", "button": "Add webhook", "back": reverse("webhooks:list")}
    return form_page(request, "webhooks/form.html", form, words)


@require_safe
@tenant_role(Role.MANAGER)
def detail(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Show an endpoint, and what became of its deliveries, the newest first."""
    endpoint = get_object_or_404(
        request.tenant.webhook_endpoints.kept().annotate(waiting=WAITING), pk=endpoint_id
    )
    shown = keyset_page(
        endpoint.deliveries.all(),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
        size=DELIVERIES_PER_PAGE,
    )
    context = {
        "endpoint": endpoint,
        "page": shown,
        "deliveries": _with_last_attempt(shown.rows),
        "days": MAX_KEPT_FOR.days,
    }
    return page(request, "webhooks/detail.html", context, fragment="webhook")


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request, **_: f"change a webhook of {request.tenant}")
def change(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Change the address and the events of an endpoint."""
    endpoint = _endpoint(request, endpoint_id)
    initial = _kept(request) or {"url": endpoint.url, "events": endpoint.events}
    form = EndpointForm(posted(request), initial=initial)
    if form.is_valid():
        with refusals_on(form):
            flows.change_endpoint(endpoint=endpoint, actor=request.actor, **form.cleaned_data)
            messages.success(request, "The webhook was changed.")
            return done(request, endpoint.get_absolute_url(), event=CHANGED)
    words = {
        "title": "Change webhook",
        "button": "Save webhook",
        "back": endpoint.get_absolute_url(),
        "endpoint": endpoint,
    }
    return form_page(request, "webhooks/form.html", form, words)


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request, **_: f"rotate the secret of a webhook of {request.tenant}")
def rotate(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Give an endpoint a new secret; the answer shows it, once."""
    endpoint = _endpoint(request, endpoint_id)
    form = RotateForm(posted(request), initial={"seen": endpoint.secret_made_at.isoformat()})
    if form.is_valid():
        with refusals_on(form):
            endpoint, secret = flows.rotate_secret(
                endpoint=endpoint, actor=request.actor, **form.cleaned_data
            )
            return _secret(request, endpoint, secret)
    words = Words(
        title="Rotate secret",
        text="You get a new secret. For 24 hours each request is signed with both, so that "
        "receivers go on with the old one until you have given them the new one. A secret that "
        "was rotated before that stops now.",
        button="Rotate secret",
    )
    return _dialog(request, endpoint, form, words, page_only=True)


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request, **_: f"switch off a webhook of {request.tenant}")
def off(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Switch an endpoint off."""
    endpoint = _endpoint(request, endpoint_id)
    words = Words(
        title="Switch off webhook",
        text=f"{endpoint} gets nothing any more. What waits is kept for 30 days and goes out when "
        "you switch it on again. What happens until then is in the log alone.",
        button="Switch off webhook",
        done="The webhook is switched off.",
        is_dangerous=True,
    )
    return _confirmed(request, endpoint, words, partial(flows.switch_off, endpoint=endpoint))


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request, **_: f"switch on a webhook of {request.tenant}")
def on(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Switch an endpoint on again."""
    endpoint = _endpoint(request, endpoint_id)
    words = Words(
        title="Switch on webhook",
        text=f"{endpoint} gets what waits for it, in order, and then what happens from now on.",
        button="Switch on webhook",
        done="The webhook is switched on.",
    )
    return _confirmed(request, endpoint, words, partial(flows.switch_on, endpoint=endpoint))


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
@purpose(lambda request, **_: f"delete a webhook of {request.tenant}")
def delete(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Delete an endpoint."""
    endpoint = _endpoint(request, endpoint_id)
    words = Words(
        title="Delete webhook",
        text=f"{endpoint} gets nothing any more, not even what waits for it. Its secret "
        "is erased, and its deliveries are no longer shown. This cannot be undone.",
        button="Delete webhook",
        done=f"The webhook to {endpoint} was deleted.",
        is_dangerous=True,
        then=reverse("webhooks:list"),
    )
    return _confirmed(request, endpoint, words, partial(flows.delete_endpoint, endpoint=endpoint))


@require_form_methods
@tenant_role(Role.MANAGER)
def test(request: TenantRequest, endpoint_id: UUID) -> HttpResponse:
    """Queue a test event."""
    endpoint = _endpoint(request, endpoint_id)
    words = Words(
        title="Send test event",
        text=f"{endpoint} gets an event of the type webhook.test, signed like all others, behind "
        "what waits for it.",
        button="Send test event",
        done="The test event is on its way: see the deliveries.",
    )
    return _confirmed(request, endpoint, words, partial(flows.send_test, endpoint=endpoint))


@require_safe
@tenant_role(Role.MANAGER)
def delivery(request: TenantRequest, endpoint_id: UUID, delivery_id: int) -> HttpResponse:
    """Show one delivery: what was sent, and what came of each attempt."""
    found = _delivery(request, endpoint_id, delivery_id)
    body = json.dumps(json.loads(found.event.body), ensure_ascii=False, indent=2)
    attempts = found.attempts.order_by("-pk")[:MAX_ATTEMPTS]
    context = {"delivery": found, "body": body, "attempts": attempts}
    return page(request, "webhooks/delivery.html", context)


@require_form_methods
@tenant_role(Role.MANAGER)
def send_again(request: TenantRequest, endpoint_id: UUID, delivery_id: int) -> HttpResponse:
    """Queue an event once more."""
    found = _delivery(request, endpoint_id, delivery_id)
    words = Words(
        title="Send event again",
        text=f"{found.endpoint} gets {found.event.type} once more, behind what waits for it, with "
        "the identifier it had: a receiver that knows it leaves it out.",
        button="Send event again",
        done="The event is on its way again.",
    )
    return _confirmed(request, found.endpoint, words, partial(flows.resend, delivery=found))


def _endpoint(request: TenantRequest, endpoint_id: UUID) -> Endpoint:
    return get_object_or_404(request.tenant.webhook_endpoints.kept(), pk=endpoint_id)


def _delivery(request: TenantRequest, endpoint_id: UUID, delivery_id: int) -> Delivery:
    rows = _endpoint(request, endpoint_id).deliveries.select_related("event", "endpoint")
    return get_object_or_404(rows, pk=delivery_id)


def _with_last_attempt(deliveries: Sequence[Delivery]) -> QuerySet[Delivery]:
    """Return them, the newest first, with number and last attempt: time, status and error."""
    rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries])
    attempts = Attempt.objects.filter(delivery=OuterRef("pk")).order_by("-pk")
    last = {f"last_{name}": Subquery(attempts.values(name)[:1]) for name in ("at", "code", "error")}
    counted = attempts.order_by().values("delivery").annotate(n=Count("pk")).values("n")
    rows = rows.select_related("event").order_by("-created_at", "-pk")
    return rows.annotate(**last, tried=Subquery(counted))


def _kept(request: TenantRequest) -> dict[str, object] | None:
    """Return what was typed before a proof was asked for."""
    kept = kept_post(request)
    return None if kept is None else {"url": kept.get("url"), "events": kept.getlist("events")}


def _secret(request: TenantRequest, endpoint: Endpoint, secret: str) -> HttpResponse:
    context = {"endpoint": endpoint, "secret": secret, "until": endpoint.old_secret_until}
    return with_secret(page(request, "webhooks/secret.html", context))


def _confirmed(
    request: TenantRequest, endpoint: Endpoint, words: Words, act: Callable[..., object]
) -> HttpResponse:
    """Show the dialog, and do what it says once that was confirmed."""
    form = ConfirmForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            act(actor=request.actor)
            messages.success(request, words.done)
            return done(request, words.then or endpoint.get_absolute_url(), event=CHANGED)
    return _dialog(request, endpoint, form, words, page_only=bool(words.then))


def _dialog(
    request: TenantRequest,
    endpoint: Endpoint,
    form: forms.BaseForm,
    words: Words,
    *,
    page_only: bool = False,
) -> HttpResponse:
    """Show the form; `page_only` ones lead to a page, and are never a dialog on another."""
    back = endpoint.get_absolute_url()
    trail = [("Webhooks", reverse("webhooks:list")), (str(endpoint), back)]
    context = {"words": words, "trail": trail, "back": back, "page_only": page_only}
    return form_page(request, "tenant/dialog.html", form, context, fragment="dialog")
