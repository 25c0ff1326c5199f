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
        scheme = forwarded_scheme(request)
        if scheme is not None:
            request.META[SCHEME] = scheme
        response = self.get_response(request)
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            response.headers.setdefault("Strict-Transport-Security", _hsts())
        return response


def _hsts() -> str:
    """Return the header as SecurityMiddleware builds it."""
    parts = [f"max-age={settings.SECURE_HSTS_SECONDS}"]
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        parts.append("includeSubDomains")
    if settings.SECURE_HSTS_PRELOAD:
        parts.append("preload")
    return "; ".join(parts)
