"""Whether this process runs, and whether it can serve; monitoring asks by any host and scheme."""

from contextlib import suppress
from threading import Lock, Thread
from time import monotonic

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import resolve
from django.views.decorators.http import require_safe

from portal.core.http import GetResponse
from portal.programs.middleware import CONTENT_POLICY
from portal.server.database import bound_queries

PATHS = ("/healthz/", "/metrics")
"""What load balancers and Prometheus ask for by address and in plain HTTP."""

LIVE, READY = "/healthz/live", "/healthz/ready"

WITHIN_SECONDS = 0.8
"""Seconds that the database gets to answer `/healthz/ready`."""


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
    """Answer whether this process can serve: 503 while the database is away."""
    if _database_answers():
        return JsonResponse({"status": "ok"})
    return JsonResponse(
        {"status": "the database does not answer"}, status=503, headers={"Retry-After": "5"}
    )


_asking = Lock()
"""Held while a thread asks: an SQLite file that hangs blocks one, however often it is asked."""


def _database_answers() -> bool:
    """Return whether a query is answered within WITHIN_SECONDS, on a connection of its own."""
    end = monotonic() + WITHIN_SECONDS
    if not _asking.acquire(timeout=WITHIN_SECONDS):
        return False
    answers: list[bool] = []
    thread = Thread(target=_ask, args=(answers,), name="ready", daemon=True)
    thread.start()
    thread.join(max(0, end - monotonic()))
    return bool(answers)


def _ask(answers: list[bool]) -> None:
    bound_queries(WITHIN_SECONDS)
    try:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
            answers.append(True)
    finally:
        connection.close()
        _asking.release()
