"""Whether this process runs, and whether it can serve; monitoring asks by any host and scheme."""

from contextlib import suppress
from threading import Lock, Thread
from time import monotonic

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import resolve
from django.views.decorators.http import require_safe

from portal.core.http import GetResponse
from portal.core.outages import RETRY_AFTER_SECONDS
from portal.programs.insiders import is_insider
from portal.programs.middleware import CONTENT_POLICY
from portal.server.conditions import NO_ANSWER, why_not_ready
from portal.server.database import bound_queries

PATHS = ("/healthz/", "/metrics")
"""What load balancers and Prometheus ask for by address and in plain HTTP."""

LIVE, READY = "/healthz/live", "/healthz/ready"

WITHIN_SECONDS = 0.8
"""Seconds that all which `/healthz/ready` looks at may take."""


class MonitoringMiddleware:
    """Answers PATHS before the layers that check host names and redirect to HTTPS.

    What is not found (404), such as `/metrics` without its token, goes on to these layers.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to monitoring, or what the other layers answer."""
        if request.path_info.startswith(PATHS):
            with suppress(Http404):
                match = resolve(request.path_info)
                response: HttpResponse = match.func(request, *match.args, **match.kwargs)
                response["Cache-Control"] = "no-store"
                response["Content-Security-Policy"] = CONTENT_POLICY
                response["X-Content-Type-Options"] = "nosniff"
                return response
        return self.get_response(request)


@require_safe
@login_not_required
def live(request: HttpRequest) -> JsonResponse:
    """Answer that this process runs."""
    return JsonResponse({"status": "ok"})


@require_safe
@login_not_required
def ready(request: HttpRequest) -> JsonResponse:
    """Answer whether this process can serve, 503 if not; why, to insiders alone."""
    reasons = _why_not_ready()
    if not reasons:
        return JsonResponse({"status": "ok"})
    answer: dict[str, object] = {"status": "not ready"}
    if is_insider(request):
        answer["reasons"] = reasons
    return JsonResponse(answer, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


_asking = Lock()
"""Held while a thread looks: an SQLite file that hangs blocks one, however often it is asked."""


def _why_not_ready() -> list[str]:
    """Return what `why_not_ready` finds within WITHIN_SECONDS, on a connection of its own."""
    end = monotonic() + WITHIN_SECONDS
    if not _asking.acquire(timeout=WITHIN_SECONDS):
        return [NO_ANSWER]
    found: list[list[str]] = []
    thread = Thread(target=_look, args=(found,), name="ready", daemon=True)
    thread.start()
    thread.join(max(0, end - monotonic()))
    return found[0] if found else [NO_ANSWER]


def _look(found: list[list[str]]) -> None:
    bound_queries(WITHIN_SECONDS)
    try:
        found.append(list(why_not_ready()))
    finally:
        connection.close()
        _asking.release()
