"""Pages that belong to no app: the start, health, and what went wrong."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.utils import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from portal.models import User


@require_safe
@login_not_required
def home(request: HttpRequest) -> HttpResponseRedirect:
    """Lead to the sign-in, the subscriptions, or, for operators without a tenant, the admin."""
    user = request.user
    if not user.is_authenticated:
        return redirect("account_login")
    if isinstance(user, User) and user.is_staff and not request.member:  # type: ignore[attr-defined]
        return redirect("admin:index")
    return redirect("subscriptions:list")


@require_safe
@login_not_required
def live(request: HttpRequest) -> JsonResponse:
    """Answer that this process runs."""
    return JsonResponse({"status": "ok"})


@require_safe
@login_not_required
def ready(request: HttpRequest) -> JsonResponse:
    """Answer whether this process can serve: 503 while the database is away."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
    except DatabaseError:
        return JsonResponse(
            {"status": "the database does not answer"}, status=503, headers={"Retry-After": "5"}
        )
    return JsonResponse({"status": "ok"})


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form came without its token (mostly: the session had ended)."""
    return render(request, "403_csrf.html", status=403)


@login_not_required
def server_error(request: HttpRequest, *_: Any) -> HttpResponse:
    """Show a reference number; the process log has the rest."""
    context = {"request_id": getattr(request, "id", "")}
    return render(None, "500.html", context, status=500)
