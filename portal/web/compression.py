"""Pages are compressed on their way out, but for those that show a secret once."""

from typing import override

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

MIN_BYTES = 1024
"""Bytes up to which a page fits a packet or two as it is."""


class PageCompressionMiddleware(GZipMiddleware):
    """Compresses HTML above MIN_BYTES, with Django's random padding against BREACH.

    What is marked `no-transform` (RFC 9111 section 5.2.2.6) stays as it is, here and in proxies:
    its length would tell of its content.
    """

    @override
    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Return the response, compressed if it is such a page and the browser takes gzip."""
        if (
            isinstance(response, HttpResponse)
            and len(response.content) > MIN_BYTES
            and response.headers.get("Content-Type", "").startswith("text/html")
            and "no-transform" not in response.headers.get("Cache-Control", "")
        ):
            return super().process_response(request, response)
        return response
