"""Headers for browsers that every page and file has, whichever layer makes the answer."""

from django.http import HttpRequest, HttpResponse

from portal.core.http import GetResponse

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Pages of errors and results name whoever is signed in, too: no cache keeps what does not say so.

Static files say so; other sites have no use for anything of the portal.
"""

PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
"""What pages ask browsers not to offer them; for other files the header means nothing."""

PARTS = {"text/css", "text/javascript", "font/woff2"}
"""Types of what is only ever a part of a page, whose policy holds for it: two dozen policies would
weigh as much as a third of the first page itself. None of the scripts is a worker's."""


class HeadersMiddleware:
    """Adds HEADERS to what comes without them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with HEADERS."""
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind == "text/html":
            response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        elif kind in PARTS:
            response._csp_config = {}  # type: ignore[attr-defined]  # as Django's csp_override sets
        return response
