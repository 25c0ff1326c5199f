"""A reference for every request, its own or that of a trusted proxy."""

import re
from random import getrandbits
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal.core.http import GetResponse
from portal.programs.client_address import is_from_trusted_proxy
from portal.server.process_log import under_way

REQUEST = "portal.request"
"""Where the environment of a request holds the request itself, for the front."""

_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-.+")


def identify(request: HttpRequest) -> str:
    """Set and return the reference of a request (`request.id`), and `trace_id` where it has one.

    Of a trusted proxy X-Request-ID counts where it is 8 to 64 letters, digits, `.`, `_`, `:` or
    `-`, else the trace of its `traceparent` (W3C Trace Context); otherwise it is made here.
    """
    found: Any = request
    headers, given = request.META, ""
    is_named = "HTTP_X_REQUEST_ID" in headers or "HTTP_TRACEPARENT" in headers
    if is_named and settings.TRUSTED_PROXIES and is_from_trusted_proxy(request):
        trace = _TRACEPARENT.fullmatch(headers.get("HTTP_TRACEPARENT", ""))
        found.trace_id = trace[1] if trace else ""
        given = headers.get("HTTP_X_REQUEST_ID", "")
        given = given if _GIVEN.fullmatch(given) else found.trace_id
    found.id = given or f"{getrandbits(64):016x}"
    return found.id


class RequestIdMiddleware:
    """Gives every request a reference, which its log lines and error pages carry."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the reference, answer, and send it along as X-Request-ID."""
        reference = identify(request)
        request.META[REQUEST] = request
        token = under_way.set(request)
        try:
            response = self.get_response(request)
        finally:
            under_way.reset(token)
        response["X-Request-ID"] = reference
        return response
