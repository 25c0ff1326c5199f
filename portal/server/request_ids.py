"""A reference for every request."""

from random import getrandbits

from django.http import HttpRequest, HttpResponse

from portal.core.http import GetResponse
from portal.server.process_log import request_id


class RequestIdMiddleware:
    """Gives every request a reference, which its log lines and error pages carry."""

    def __init__(self, get_response: GetResponse) -> None:
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
