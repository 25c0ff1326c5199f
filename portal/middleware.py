"""What happens to every request of the portal before its view."""

from collections.abc import Callable
from random import getrandbits

from django.http import HttpRequest, HttpResponse

from portal import access
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


class TenantMiddleware:
    """Puts `request.member`, `request.tenant` and `request.actor` on the request, lazily."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Attach who acts and for which tenant; nothing is read before it is asked for."""
        access.attach(request)
        return self.get_response(request)
