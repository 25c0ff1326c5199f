"""Actions on subscriptions: activate, rename, label, start a community subscription."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from portal.core.refusal import Refused
from portal.tenants.access import TenantRequest, tenant_role
from portal.tenants.models import Role
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.pages import done, elsewhere, form_page
from subscriptions.flows.activate import activate_subscription
from subscriptions.flows.annotate import annotate_subscription
from subscriptions.flows.rename import rename_subscription
from subscriptions.flows.start_community import start_community_subscription
from subscriptions.forms import AnnotateForm, RenameForm
from subscriptions.models import Subscription

CHANGED = "subscription-changed"
"""The event that makes the page of a subscription reload its part."""


@require_POST
@tenant_role(Role.MANAGER)
def activate(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Activate a pending subscription."""
    subscription = _subscription(request, subscription_id)
    try:
        activate_subscription(subscription=subscription, actor=request.actor)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request, "The subscription is active. You can generate its license keys now."
        )
    return done(request, subscription.get_absolute_url(), event=CHANGED)


@require_form_methods
@tenant_role(Role.MANAGER)
def rename(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Give the subscription another name."""
    subscription = _subscription(request, subscription_id)
    form = RenameForm(posted(request), initial={"name": subscription.name})
    if form.is_valid():
        with refusals_on(form):
            rename_subscription(
                subscription=subscription, actor=request.actor, name=form.cleaned_data["name"]
            )
            messages.success(request, "The subscription was renamed.")
            return done(request, subscription.get_absolute_url(), event=CHANGED)
    context = {"subscription": subscription}
    return form_page(request, "subscriptions/rename.html", form, context, fragment="dialog")


@require_form_methods
@tenant_role(Role.MANAGER)
def annotate(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Write labels and a note on the subscription."""
    subscription = _subscription(request, subscription_id)
    initial = {"labels": subscription.labels, "note": subscription.note}
    form = AnnotateForm(posted(request), initial=initial)
    if form.is_valid():
        with refusals_on(form):
            annotate_subscription(
                subscription=subscription, actor=request.actor, **form.cleaned_data
            )
            messages.success(request, "Labels and note were saved.")
            return done(request, subscription.get_absolute_url(), event=CHANGED)
    context = {"subscription": subscription}
    return form_page(request, "subscriptions/annotate.html", form, context, fragment="dialog")


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
    return elsewhere(request, subscription.get_absolute_url())


def _subscription(request: TenantRequest, subscription_id: UUID) -> Subscription:
    """Return the subscription of the member's tenant; any other does not exist (404)."""
    return get_object_or_404(Subscription.objects.for_tenant(request.tenant), pk=subscription_id)
