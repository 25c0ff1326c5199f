"""What programs call: `/public/` and `/.well-known/`, answered in JSON from every layer.

A terminal crashes on a body that is not the JSON it knows (contract.md section 3), so nothing of
these addresses reaches the layers that answer in HTML; and it needs no session, no cookie and no
page, so that none of their work is done either.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import connection
from django.db.utils import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import ResolverMatch, resolve

logger = logging.getLogger("portal.machines")

PREFIXES = ("/public/", "/.well-known/")
RETRY_AFTER = 5
"""Seconds after which a program may ask again while the database is away."""


class MachineRefused(Exception):
    """A refusal that a program reads: `error` and `status` of contract.md section 3.

    `result` is the word of contract.md section 4 where a key was judged, else None.
    """

    def __init__(
        self,
        error: str,
        status: int,
        description: str,
        *,
        result: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.description = description
        self.result = result
        self.headers = dict(headers or {})


def not_allowed(*methods: str) -> MachineRefused:
    """Return the refusal of every method but these."""
    allowed = ", ".join(methods)
    return MachineRefused(
        "invalid_request", 405, f"This address answers {allowed}.", headers={"Allow": allowed}
    )


class MachineMiddleware:
    """Answers programs by a short way: address, host, view; and JSON whatever goes wrong."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a program, or what the other layers answer to a person."""
        if not request.path_info.startswith(PREFIXES):
            return self.get_response(request)
        try:
            response = _answer(request)
        except MachineRefused as refused:
            response = refusal(request, refused)
        response["Content-Length"] = str(len(response.content))
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = "default-src 'none'"
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            response["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        return response


def refusal(request: HttpRequest, refused: MachineRefused) -> HttpResponse:
    """Return the body that every client generation reads, with our `result` and a reference."""
    body = {
        "error": refused.error,
        "error_code": refused.error,
        "error_description": refused.description,
        "request_id": getattr(request, "id", ""),
        "result": refused.result,
    }
    headers = {"Cache-Control": "no-store"} | refused.headers
    return JsonResponse(body, status=refused.status, headers=headers)


def _answer(request: HttpRequest) -> HttpResponse:
    try:
        _see_host(request)
        match = _resolved(request.path_info, settings.ROOT_URLCONF)
        return match.func(request, *match.args, **match.kwargs)
    except MachineRefused:
        raise
    except Http404 as error:
        raise MachineRefused("not_found", 404, "There is nothing at this address.") from error
    except (RequestDataTooBig, UnreadablePostError) as error:
        raise MachineRefused(
            "invalid_request", 400, "The body of the request did not arrive whole; send it again."
        ) from error
    except (OperationalError, InterfaceError) as error:
        logger.error("The database is away: %s", type(error).__name__)
        connection.close()  # The short way has no signal that would: the next request opens anew.
        raise MachineRefused(
            "server_error",
            503,
            f"The portal can not check now; ask again in {RETRY_AFTER} seconds.",
            headers={"Retry-After": str(RETRY_AFTER)},
        ) from error
    except Exception as error:
        logger.exception("No answer to %s %s", request.method, request.path_info)
        raise MachineRefused(
            "server_error",
            500,
            "The portal failed; tell its operators the request_id of this answer.",
        ) from error


@lru_cache(maxsize=64)
def _resolved(path: str, urlconf: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _see_host(request: HttpRequest) -> None:
    """Refuse foreign hosts, and lead to HTTPS in a way that keeps method and body (RFC 9110)."""
    try:
        host = request.get_host()
    except DisallowedHost as error:
        raise MachineRefused(
            "invalid_request", 400, "The host name of the request is not one of this portal."
        ) from error
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise MachineRefused(
            "invalid_request",
            308,
            "Use https for this address.",
            headers={"Location": f"https://{host}{request.get_full_path()}"},
        )
