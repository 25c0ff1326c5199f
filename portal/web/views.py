"""Pages for what went wrong."""

import sys
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.core.outages import RETRY_AFTER_SECONDS, is_outage


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form came without its token (mostly: the session had ended)."""
    return render(request, "403_csrf.html", status=403)


@login_not_required
def server_error(request: HttpRequest, *_: Any) -> HttpResponse:
    """Show a reference number (500), or that the database is away (503, with Retry-After).

    Django calls this while it handles the exception; the process log has the rest.
    """
    context = {"request_id": getattr(request, "id", "")}
    if not is_outage(sys.exception()):
        return render(None, "500.html", context, status=500)
    response = render(None, "503.html", context, status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
