"""The scheme that a request came by, and HSTS on the answer: the same on every path."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal.core.http import GetResponse
from portal.programs.client_address import forwarded_scheme

SCHEME = "portal.forwarded_scheme"
"""Where SECURE_PROXY_SSL_HEADER finds the scheme: no header of a request has such a name."""


class TransportMiddleware:
    """Lets `request.is_secure()` believe trusted proxies alone; adds HSTS (RFC 6797) to HTTPS."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with Strict-Transport-Security where it came by HTTPS."""
        note_scheme(request)
        response = self.get_response(request)
        value = hsts(request)
        if value is not None:
            response.headers.setdefault("Strict-Transport-Security", value)
        return response


def note_scheme(request: HttpRequest) -> None:
    """Let `request.is_secure()` know what a trusted proxy says of the scheme."""
    scheme = forwarded_scheme(request)
    if scheme is not None:
        request.META[SCHEME] = scheme


def hsts(request: HttpRequest) -> str | None:
    """Return Strict-Transport-Security as SecurityMiddleware builds it; None but for HTTPS."""
    if not settings.SECURE_HSTS_SECONDS or not request.is_secure():
        return None
    parts = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        parts.append("includeSubDomains")
    if settings.SECURE_HSTS_PRELOAD:
        parts.append("preload")
    return "; ".join(parts)
