"""What happens to every request of the portal before its view."""

import uuid
from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from portal import access, pages
from portal.logs import request_id

Answer = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request a reference, which its log lines and error pages carry."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the reference, answer, and send it along as X-Request-ID."""
        request.id = uuid.uuid4().hex[:16]  # type: ignore[attr-defined]
        token = request_id.set(request.id)  # type: ignore[attr-defined]
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        return response


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
