"""Pages for what went wrong."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form came without its token (mostly: the session had ended)."""
    return render(request, "403_csrf.html", status=403)


@login_not_required
def server_error(request: HttpRequest, *_: Any) -> HttpResponse:
    """Show a reference number; the process log has the rest."""
    context = {"request_id": getattr(request, "id", "")}
    return render(None, "500.html", context, status=500)
