"""Which mails a tenant gets; and the link that stops them for somebody without an account."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from portal.accounts.proof import kept_post, recent_proof
from portal.mail.outbox import undelivered
from portal.programs.client_address import client_address
from portal.tenants.access import TenantRequest, tenant_role
from portal.tenants.flows.notifications import choose_notifications, stop_notifications
from portal.tenants.forms import NotificationsForm
from portal.tenants.links import LINKS
from portal.tenants.models import Role
from portal.tenants.notices import preferences_of, recipient_of
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, elsewhere, form_page, too_many, uncached


@require_form_methods
@tenant_role(Role.MANAGER)
@recent_proof
def choose(request: TenantRequest) -> HttpResponse:
    """Choose which mails the tenant gets, when, and who gets them besides."""
    form = NotificationsForm(posted(request), initial=_kept(request) or _chosen(request))
    if form.is_valid():
        with refusals_on(form):
            choose_notifications(tenant=request.tenant, actor=request.actor, **form.cleaned_data)
            messages.success(request, "The notifications were saved.")
            return elsewhere(request, reverse("tenant:notifications"))
    recipients = request.tenant.recipients.active().values_list("email", flat=True)
    context = {"undelivered": undelivered(request.tenant.pk, list(recipients)).values()}
    return form_page(request, "tenant/notifications.html", form, context)


@csrf_exempt  # mail programs post without a cookie (RFC 8058)
@require_form_methods
@login_not_required
def stop(request: HtmxRequest, token: str) -> HttpResponse:
    """Stop the mails to one address. The link is proof enough: it went to whoever reads them."""
    refused = too_many(request, LINKS)
    if refused is not None:
        return refused
    recipient = recipient_of(token)
    if recipient is None:
        return uncached(render(request, "tenant/stopped.html", status=404))
    if request.method == "POST":
        stop_notifications(recipient=recipient, address=client_address(request))
        return uncached(render(request, "tenant/stopped.html", {"stopped": recipient}))
    return uncached(render(request, "tenant/stop.html", {"recipient": recipient}))


def _chosen(request: TenantRequest) -> dict[str, Any]:
    preferences = preferences_of(request.tenant.pk)
    recipients = request.tenant.recipients.active().values_list("email", flat=True)
    return {
        "topics": preferences.topics,
        "expiry_days": preferences.expiry_days,
        "recipients": "\n".join(recipients),
    }


def _kept(request: TenantRequest) -> dict[str, Any] | None:
    """Return what was typed before a proof was asked for: lists, but for the addresses."""
    kept = kept_post(request)
    if kept is None:
        return None
    return {
        "topics": kept.getlist("topics"),
        "expiry_days": kept.getlist("expiry_days"),
        "recipients": kept.get("recipients", ""),
    }
