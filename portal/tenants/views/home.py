"""The start page, which redirects everybody."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from portal.accounts.models import User


@require_safe
@login_not_required
def home(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to sign-in, the subscriptions or, for operators without a tenant, the admin."""
    user = request.user
    if not user.is_authenticated:
        return redirect("account_login")
    if isinstance(user, User) and user.is_staff and not request.member:  # type: ignore[attr-defined]
        return redirect("admin:index")
    return redirect("subscriptions:list")
