"""What people read on a node whose secrets or clock do not fit the database: it changes nothing."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.config import database_secrets
from portal.core.http import GetResponse
from portal.core.outages import RETRY_AFTER_SECONDS
from portal.core.unfit import UnfitNode

SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
"""Methods that ask for no change (RFC 9110 9.2.1)."""


class UnfitNodeMiddleware:
    """Answers 503 to what would change something, before a session is read or written.

    A page that records something when it is only looked at (GET) ends in the same answer.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return 503 where the node must not write, or what the other layers answer."""
        if request.method not in SAFE:
            try:
                database_secrets.require()
            except database_secrets.SecretsDoNotFit:
                return _refusal(request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return 503 for a view that was about to write."""
        if isinstance(error, UnfitNode):
            return _refusal(request)
        return None


def _refusal(request: HttpRequest) -> HttpResponse:
    context = {"request_id": getattr(request, "id", ""), "is_unfit": True}
    response = render(None, "503.html", context, status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
