"""Where operators begin and end a support view: on the page of a tenant."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse

from portal import support_view
from portal.access import actor_of
from portal.admin_confirm import Confirmation, confirmation_page
from portal.admin_site import PlainAdmin
from portal.forms import ReasonForm, accepted, posted
from portal.models import Tenant


class SupportViewAdmin(PlainAdmin):
    """Adds the support view to the pages of tenants."""

    change_form_template = "admin/tenant.html"

    def get_urls(self) -> list[Any]:
        """Add the addresses at which a support view begins and ends."""
        site = self.admin_site
        return [
            path(
                "<uuid:pk>/support-view/",
                site.admin_view(self.start_support_view),
                name="portal_tenant_start_support_view",
            ),
            path(
                "end-support-view/",
                site.admin_view(self.end_support_view),
                name="portal_tenant_end_support_view",
            ),
            *super().get_urls(),
        ]

    def start_support_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Begin to see the portal as the tenant does, for a reason."""
        if not request.user.has_perm(support_view.PERMISSION):
            raise PermissionDenied
        tenant = get_object_or_404(Tenant, pk=pk)
        form = ReasonForm(posted(request))
        if request.method == "POST" and accepted(
            form,
            lambda: support_view.start(
                request, tenant=tenant, actor=actor_of(request), **form.cleaned_data
            ),
        ):
            return redirect("subscriptions:list")
        minutes = int(support_view.LIFE.total_seconds() // 60)
        confirmation = Confirmation(
            title="Start support view",
            says=[
                f"You see the portal as a viewer of {tenant} sees it, for {minutes} minutes.",
                "You stay signed in as yourself. Nothing can be changed, no license key is shown.",
                "The tenant's log tells its members that you looked, when, and the reason.",
            ],
            button="Start support view",
            row=tenant,
        )
        return confirmation_page(self, request, confirmation, form)

    def end_support_view(self, request: HttpRequest) -> HttpResponse:
        """End the support view and return to the tenant's page."""
        if request.method != "POST":
            raise Http404
        tenant = support_view.end(request, actor=actor_of(request), how="operator")
        if tenant is None:
            return redirect("admin:index")
        messages.success(request, f"The support view of {tenant} has ended.")
        return redirect(reverse("admin:portal_tenant_change", args=[tenant.pk]))
