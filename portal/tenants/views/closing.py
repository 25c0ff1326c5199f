"""Pages about leaving: export all data of a tenant, close it, take the closing back."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from portal.accounts.proof import kept_form, purpose, recent_proof
from portal.tenants.access import TenantRequest, posted_for_tenant, tenant_role
from portal.tenants.export import export
from portal.tenants.flows.closing import ask_closing, record_export, take_back_closing
from portal.tenants.forms import CloseForm
from portal.tenants.models import CLOSING_DELAY, Member, Role
from portal.web.forms import ConfirmForm, refusals_on, require_form_methods
from portal.web.pages import elsewhere, form_page
from portal.web.zip_files import zip_answer


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"export the data of {request.tenant}")
def export_data(request: TenantRequest) -> HttpResponseBase:
    """Send everything that the tenant has as a ZIP archive."""
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            record_export(tenant=request.tenant, actor=request.actor)
            now = timezone.now()
            files = export(request.tenant, portal_name=settings.PORTAL_NAME, now=now)
            return zip_answer(f"tenant-data-{now:%Y-%m-%d}.zip", files, at=now)
    return form_page(request, "tenant/export.html", form)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"close {request.tenant}")
def close(request: TenantRequest) -> HttpResponse:
    """Ask for the tenant to be closed."""
    if request.tenant.is_closing:
        return elsewhere(request, reverse("tenant:detail"))
    data = posted_for_tenant(request)
    form = CloseForm(data, tenant=request.tenant, initial=kept_form(request) or {})
    if form.is_valid():
        with refusals_on(form):
            tenant = ask_closing(tenant=request.tenant, actor=request.actor)
            messages.success(request, f"{tenant} will be closed. All members get a mail.")
            return elsewhere(request, reverse("tenant:detail"))
    owners = request.tenant.memberships.owners().exclude(user=request.user)
    context = {
        "other_owners": owners.select_related("user").order_by("user__name", "pk"),
        "alone": Member.objects.alone_in(request.tenant).select_related("user"),
        "closes_at": timezone.now() + CLOSING_DELAY,
    }
    return form_page(request, "tenant/close.html", form, context)


@require_form_methods
@tenant_role(Role.OWNER)
def keep(request: TenantRequest) -> HttpResponse:
    """Take the closing of the tenant back."""
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            tenant = take_back_closing(tenant=request.tenant, actor=request.actor)
            messages.success(request, f"{tenant} stays. All members get a mail.")
            return elsewhere(request, reverse("tenant:detail"))
    return form_page(request, "tenant/keep.html", form)
