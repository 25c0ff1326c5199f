"""Full page or fragment, and messages for both: the one place that decides."""

from typing import Any

from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from portal.access import TenantRequest
from portal.models import Tenant

THEMES = {"dark", "light"}


def house(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: the portal's name, the shop's address, the chosen theme."""
    theme = request.COOKIES.get("theme", "")
    return {
        "portal_name": settings.PORTAL_NAME,
        "buy_url": settings.BUY_URL,
        "open_sign_up": settings.OPEN_SIGN_UP,
        "has_identity_providers": bool(settings.OIDC_PROVIDERS),
        "theme": theme if theme in THEMES else "",
    }


def wants_fragment(request: TenantRequest) -> bool:
    """Return whether HTMX asked for a part of the page.

    Boosted links and a restored history entry are asked for by HTMX too, but want whole pages.
    """
    htmx = request.htmx
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def page(
    request: TenantRequest,
    template: str,
    context: dict[str, Any],
    *,
    fragment: str,
    status: int = 200,
) -> HttpResponse:
    """Render the template, or only its partial `fragment` when HTMX asks for a part.

    A form that was not accepted is the same page with status 422.
    """
    if wants_fragment(request):
        response = render(request, f"{template}#{fragment}", context, status=status)
        if len(get_messages(request)):
            response.content += _messages(request)
    else:
        response = render(request, template, context, status=status)
    return uncached(response)


def done(request: TenantRequest, to: str, *, event: str) -> HttpResponse:
    """Answer a change that was made: redirect a browser, tell the fragments of an HTMX page.

    `event` is the domain event that the parts which show the change listen to.
    """
    if not wants_fragment(request):
        return uncached(redirect(to))
    response = HttpResponse(_messages(request))
    trigger_client_event(response, "close-dialog", {})
    trigger_client_event(response, event, {})
    return uncached(response)


def _messages(request: TenantRequest) -> bytes:
    """Return the messages as an out-of-band part, for any fragment to carry along."""
    return render_to_string("messages.html", {"oob": True}, request).encode()


def elsewhere(request: TenantRequest, to: str) -> HttpResponse:
    """Send the browser to another page, out of a dialog too."""
    return uncached(HttpResponseClientRedirect(to) if wants_fragment(request) else redirect(to))


def in_other_tenant(request: Any, tenant: Tenant) -> HttpResponse:
    """Say that what was asked for belongs to another tenant of the user's; offer the switch.

    What a form would have changed is not repeated: one goes back to the page that it stood on.
    """
    here = request.headers.get("Referer") or reverse("home")
    if wants_fragment(request):
        return elsewhere(request, request.get_full_path() if request.method == "GET" else here)
    back = request.get_full_path() if request.method in {"GET", "HEAD"} else here
    context = {"tenant": tenant, "back": back}
    return uncached(render(request, "tenant/elsewhere.html", context, status=404))


def uncached(response: HttpResponse) -> HttpResponse:
    """Keep the answer out of every cache: pages differ by member, and fragments by header."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response
