"""Pages about subscriptions: the list, one of them, activate, rename, start a free one."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import TenantRequest, tenant_role
from portal.forms import accepted, posted
from portal.models import LogEntry, Role
from portal.pages import done, elsewhere, page
from portal.paging import keyset_page
from portal.refusal import Refused
from subscriptions.flows.activate import activate as activate_subscription
from subscriptions.flows.rename import rename as rename_subscription
from subscriptions.flows.start_community import start_community as start_community_subscription
from subscriptions.forms import FilterForm, RenameForm
from subscriptions.models import Plan, State, Subscription

LATEST_EVENTS = 5


def found(request: TenantRequest, subscription_id: UUID) -> Subscription:
    """Return the subscription of the member's tenant; any other does not exist (404)."""
    return get_object_or_404(
        Subscription.objects.for_tenant(request.tenant)
        .with_state()
        .select_related("plan", "tenant", "activated_by"),
        pk=subscription_id,
    )


@require_safe
@tenant_role(Role.VIEWER)
def listing(request: TenantRequest) -> HttpResponse:
    """List the tenant's subscriptions."""
    form = FilterForm(request.GET)
    rows = Subscription.objects.for_tenant(request.tenant).with_license_state()
    if form.is_valid():
        rows = rows.matching(form.cleaned_data["q"])
        if form.cleaned_data["state"]:
            rows = rows.in_state(State(form.cleaned_data["state"]))
    own = Subscription.objects.for_tenant(request.tenant)
    context = {
        "form": form,
        "page": keyset_page(
            rows.select_related("plan"),
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
        ),
        "is_filtered": any(form.data.get(name) for name in form.fields),
        "has_any": own.exists(),
        "may_start_community": request.member.may(Role.MANAGER)
        and Plan.objects.offered().filter(code="community").exists()
        and not own.filter(is_self_started=True).exists(),
    }
    return page(request, "subscriptions/list.html", context, fragment="rows")


@require_safe
@tenant_role(Role.VIEWER)
def detail(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Show one subscription with its license keys."""
    subscription = found(request, subscription_id)
    events = LogEntry.objects.for_tenant(request.tenant).for_subscription(subscription.pk)
    context = {
        "subscription": subscription,
        "events": events[:LATEST_EVENTS],
        "may_manage": request.member.may(Role.MANAGER),
    }
    return page(request, "subscriptions/detail.html", context, fragment="subscription")


@require_POST
@tenant_role(Role.MANAGER)
def activate(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Activate a pending subscription."""
    subscription = found(request, subscription_id)
    try:
        activate_subscription(subscription=subscription, actor=request.actor)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request, "The subscription is active. You can generate its license keys now."
        )
    return done(request, _address(subscription), event="subscription-changed")


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_role(Role.MANAGER)
def rename(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Give the subscription another name."""
    subscription = found(request, subscription_id)
    form = RenameForm(posted(request), initial={"name": subscription.name})
    if request.method == "POST" and accepted(
        form,
        lambda: rename_subscription(
            subscription=subscription, actor=request.actor, name=form.cleaned_data["name"]
        ),
    ):
        messages.success(request, "The subscription was renamed.")
        return done(request, _address(subscription), event="subscription-changed")
    return page(
        request,
        "subscriptions/rename.html",
        {"subscription": subscription, "form": form},
        fragment="dialog",
        status=422 if form.errors else 200,
    )


@require_POST
@tenant_role(Role.MANAGER)
def start_community(request: TenantRequest) -> HttpResponse:
    """Start the tenant's one free community subscription."""
    try:
        subscription = start_community_subscription(tenant=request.tenant, actor=request.actor)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return elsewhere(request, reverse("subscriptions:list"))
    messages.success(
        request, "Your community subscription is active. You can generate its license keys now."
    )
    return elsewhere(request, _address(subscription))


def _address(subscription: Subscription) -> str:
    return reverse("subscriptions:detail", args=[subscription.pk])
