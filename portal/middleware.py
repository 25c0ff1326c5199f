"""What happens to every request of the portal before its view."""

from collections.abc import Callable
from random import getrandbits
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from portal import access, pages, support_view
from portal.logs import request_id

Answer = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request a reference, which its log lines and error pages carry."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the reference, answer, and send it along as X-Request-ID."""
        request.id = f"{getrandbits(64):016x}"  # type: ignore[attr-defined]
        token = request_id.set(request.id)  # type: ignore[attr-defined]
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        return response


PROOF_FIRST = {
    "account_change_password",
    "account_email",
    "account_set_password",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "socialaccount_connections",
}
"""Pages of allauth that show or change what one signs in with."""


class ProofMiddleware:
    """Shows the pages of PROOF_FIRST only after a recent proof of who one is.

    allauth's own question comes again right after sign-in, and never to people who sign in at an
    identity provider only. Nothing is kept of a POST that comes too late: it holds passwords.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as always; `process_view` knows which page it is."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Lead to the proof instead of the page when the last one is too old."""
        match = request.resolver_match
        if match is None or match.url_name not in PROOF_FIRST:
            return None
        if access.is_recently_proven(request):
            return None
        messages.info(request, "Please confirm that it is you.")
        return redirect(access.proof_address(request.path))


class TenantMiddleware:
    """Puts `request.member`, `tenant`, `memberships` and `actor` on the request, lazily."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Attach who acts and for which tenant; nothing is read before it is asked for."""
        access.attach(request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Offer to switch when what was asked for is there in another tenant of the user's.

        In this one it does not exist, or the role does not suffice; a stranger learns nothing.
        """
        if not isinstance(error, Http404 | PermissionDenied):
            return None
        tenant = access.other_tenant_named(request)
        return pages.in_other_tenant(request, tenant) if tenant else None


class SupportViewMiddleware:
    """Keeps a support view read-only: the one place that refuses what it must not do."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as ever; what matters is decided when the view is known."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        """Refuse what a support view must not do, and end one whose time is over."""
        if support_view.is_unaffected(request, view):
            return None
        seen = request.support_view  # type: ignore[attr-defined]
        if not seen:
            return None
        if seen.is_over():
            support_view.end(request, actor=access.actor_of(request), how="time limit")
            messages.info(request, f"The support view of {seen.tenant} has ended: its time is up.")
            return redirect(reverse("admin:portal_tenant_change", args=[seen.tenant.pk]))
        if not support_view.may_answer(request, view):
            raise PermissionDenied(
                "This is a support view: you see what the tenant sees, and nothing can be changed "
                "or taken. End the support view first."
            )
        return None
