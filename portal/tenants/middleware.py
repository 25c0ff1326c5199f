"""The tenant of every request, and the read-only support view."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from portal.accounts.requests import actor_of
from portal.core.http import GetResponse
from portal.tenants import access, support_view
from portal.tenants.models import Tenant
from portal.web.pages import elsewhere, uncached, wants_fragment


class TenantMiddleware:
    """Puts `request.member`, `tenant`, `memberships` and `actor` on the request, lazily."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Attach who acts and for which tenant; nothing is read before it is asked for."""
        access.attach(request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Offer to switch when what was requested exists in another tenant of the user.

        In this one it does not exist, or the role does not suffice; others learn nothing.
        """
        if not isinstance(error, Http404 | PermissionDenied):
            return None
        tenant = access.other_tenant_named(request)
        return in_other_tenant(request, tenant) if tenant else None


class SupportViewMiddleware:
    """Keeps a support view read-only: the one place that refuses what it must not do."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on: `process_view` decides, once the view is known."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        """Refuse what a support view must not do, and end one whose time is over."""
        if support_view.is_unaffected(request, view):
            return None
        current = request.support_view  # type: ignore[attr-defined]
        if not current:
            return None
        if current.is_over():
            support_view.end(request, actor=actor_of(request), how="time limit")
            tenant = current.tenant
            messages.info(request, f"The support view of {tenant} has ended: its time is up.")
            return redirect(reverse("admin:portal_tenant_change", args=[tenant.pk]))
        if not support_view.may_answer(request, view):
            raise PermissionDenied(
                "This is a support view: you see what the tenant sees, and nothing can be changed "
                "or taken. End the support view first."
            )
        return None


def in_other_tenant(request: Any, tenant: Tenant) -> HttpResponse:
    """Say that what was requested belongs to another tenant of the user; offer the switch.

    What a form would have changed is not repeated: the user returns to the page of the form.
    """
    here = request.headers.get("Referer") or reverse("home")
    if wants_fragment(request):
        return elsewhere(request, request.get_full_path() if request.method == "GET" else here)
    back = request.get_full_path() if request.method in {"GET", "HEAD"} else here
    context = {"tenant": tenant, "back": back}
    return uncached(render(request, "tenant/elsewhere.html", context, status=404))
