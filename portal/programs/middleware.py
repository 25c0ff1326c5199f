"""What programs call: `/public/`, `/.well-known/` and `/api/`, answered in JSON from every layer.

A terminal crashes on a body that is not the JSON it knows (contract.md section 3), so nothing of
these addresses reaches the layers that answer in HTML. Programs need no session, no cookie and no
page, so that work is left out too.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.urls import ResolverMatch, resolve

from portal.core.outages import RETRY_AFTER_SECONDS, in_words, is_outage
from portal.core.token_format import PREFIX, RESEMBLES
from portal.programs.errors import API, API_PAGE, ProgramError, refusal

logger = logging.getLogger("portal.programs")

PREFIXES = ("/public/", "/.well-known/", API)

CONTENT_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers to programs: a browser makes nothing of them."""

MAX_BODY_BYTES = 65_536
"""Bytes of the body of a program's request."""


def is_for_programs(method: str | None, path: str) -> bool:
    """Return whether a program asks: for all below PREFIXES but the page that people read there."""
    is_page = path == API_PAGE and method in {"GET", "HEAD"}
    return path.startswith(PREFIXES) and not is_page


class ProgramMiddleware:
    """Answers programs by a fast path: address, host, view; and JSON whatever goes wrong."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a program, or what the other layers answer to a person."""
        if not is_for_programs(request.method, request.path_info):
            return self.get_response(request)
        try:
            response = _answer(request)
        except ProgramError as refused:
            response = refusal(request, refused)
        response["Content-Length"] = str(len(response.content))
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = CONTENT_POLICY
        return response


def _answer(request: HttpRequest) -> HttpResponse:
    try:
        _check_host(request)
        _refuse_token_in_address(request)
        match = _resolved(request.path_info, settings.ROOT_URLCONF)
        return match.func(request, *match.args, **match.kwargs)
    except Exception as error:
        raise as_refusal(request, error) from error


def as_refusal(request: HttpRequest, error: Exception) -> ProgramError:
    """Return what a program reads about an error; log it, and close the connection it broke."""
    if isinstance(error, ProgramError):
        return error
    if isinstance(error, Http404):
        return ProgramError("not_found", 404, "There is nothing at this address.")
    if isinstance(error, RequestDataTooBig | UnreadablePostError):
        return ProgramError(
            "invalid_request", 400, "The body of the request did not arrive whole; send it again."
        )
    if isinstance(error, SuspiciousOperation):  # such as more parameters than Django reads
        return ProgramError(
            "invalid_request", 400, "The request is malformed or has too many parameters."
        )
    if isinstance(error, OperationalError | InterfaceError) or is_outage(error):
        if is_outage(error):
            logger.error("No answer: %s: %s: %s", in_words(error), type(error).__name__, error)
        else:
            logger.error(
                "The database refused %s %s", request.method, request.path_info, exc_info=error
            )
        connection.close()  # The fast path sends no signal that would do it.
        return ProgramError(
            "server_error",
            503,
            f"The portal cannot answer now; ask again in {RETRY_AFTER_SECONDS} seconds.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    logger.error("No answer to %s %s", request.method, request.path_info, exc_info=error)
    return ProgramError(
        "server_error",
        500,
        "The portal failed; tell its operators the request_id of this answer.",
    )


def _refuse_token_in_address(request: HttpRequest) -> None:
    """Raise ProgramError for a service token in the address: proxies and servers log addresses."""
    address = unquote(f"{request.path_info}?{request.META.get('QUERY_STRING', '')}")
    if PREFIX in address and RESEMBLES.search(address):
        raise ProgramError(
            "token_in_address",
            400,
            "Addresses are logged, so a service token never belongs in one. Send it as "
            "Authorization: Bearer, and rotate this one.",
        )


@lru_cache(maxsize=64)
def _resolved(path: str, urlconf: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _check_host(request: HttpRequest) -> None:
    """Refuse unknown hosts, and redirect to HTTPS with method and body kept (RFC 9110)."""
    try:
        host = request.get_host()
    except DisallowedHost as error:
        raise ProgramError(
            "invalid_request", 400, "The host name of the request is not one of this portal."
        ) from error
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise ProgramError(
            "invalid_request",
            308,
            "Use https for this address.",
            headers={"Location": f"https://{host}{request.get_full_path()}"},
        )
