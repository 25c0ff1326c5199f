"""Where operators begin and end a support view: on the page of a tenant."""

from typing import Any, override

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from portal.accounts.requests import actor_of
from portal.operators.actions import ActionsAdmin, OperatorAction
from portal.tenants import support_view

START_SUPPORT_VIEW = OperatorAction(
    name="start_support_view",
    label="Start support view",
    consequences=(
        f"You see the portal as a viewer of the tenant for {support_view.MINUTES} minutes.",
        "You stay signed in as yourself. Nothing can be changed, no license key is shown.",
        "The tenant's log tells its members that you looked, when, and the reason.",
    ),
    flow=lambda tenant, **chosen: support_view.start(tenant=tenant, **chosen),
    summarize=lambda tenant: tenant.get_country_name(),
    permission="support",
    on_page=True,
    in_session=True,
    leads_to="subscriptions:list",
)


class SupportViewAdmin(ActionsAdmin):
    """Adds the end of a support view, and who may begin one, to the pages of tenants."""

    @override
    def get_urls(self) -> list[Any]:
        """Add the address at which a support view ends."""
        route = path(
            "end-support-view/",
            self.admin_site.admin_view(self.end_support_view),
            name="portal_tenant_end_support_view",
        )
        return [route, *super().get_urls()]

    def has_support_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may see the portal as a tenant does."""
        is_closed = obj is not None and obj.closed_at is not None
        return not is_closed and request.user.has_perm(support_view.PERMISSION)

    def end_support_view(self, request: HttpRequest) -> HttpResponse:
        """End the support view and return to the tenant's page."""
        if request.method != "POST":
            raise Http404
        tenant = support_view.end(request, actor=actor_of(request), how="operator")
        if tenant is None:
            return redirect("admin:index")
        messages.success(request, f"The support view of {tenant} has ended.")
        return redirect(reverse("admin:portal_tenant_change", args=[tenant.pk]))
