"""Full page or fragment, and messages for both: the one place that decides."""

from typing import Any

from django.conf import settings
from django.contrib.messages import get_messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from django_htmx.middleware import HtmxDetails

from portal.core.dates import zone_label
from portal.core.links import support_link
from portal.programs.limits import Limit

THEMES = {"dark", "light"}
DESCRIPTION = "Generate, download, check and reset the license keys of your subscriptions."
"""What search engines and cards of links say of a page that says nothing else."""


class HtmxRequest(HttpRequest):
    """A request as HtmxMiddleware leaves it."""

    htmx: HtmxDetails


def site_context(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: name of the portal, links of header and footer, theme, zone."""
    theme = request.COOKIES.get(f"{settings.COOKIE_PREFIX}theme", "")
    return {
        "portal_name": settings.PORTAL_NAME,
        "portal_description": DESCRIPTION,
        "public_url": settings.PUBLIC_URL,
        "buy_url": settings.BUY_URL,
        "open_sign_up": settings.OPEN_SIGN_UP,
        "has_identity_providers": bool(settings.OIDC_PROVIDERS),
        "footer_links": _footer_links(),
        "zone": timezone.get_current_timezone_name().replace("_", " "),
        "zone_label": zone_label(timezone.localtime()),
        "theme": theme if theme in THEMES else "",
    }


def _footer_links() -> list[tuple[str, str]]:
    """Return text and address of each link that the settings have."""
    links = [
        ("Help", support_link()),
        ("Status", settings.STATUS_URL),
        ("Terms", settings.TERMS_URL),
        ("Privacy", settings.PRIVACY_URL),
    ]
    return [(text, address) for text, address in links if address]


def wants_fragment(request: HtmxRequest) -> bool:
    """Return whether HTMX asked for a part of the page.

    Boosted links and a restored history entry are asked for by HTMX too, but want whole pages.
    """
    htmx = request.htmx
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def page(
    request: HtmxRequest,
    template: str,
    context: dict[str, Any],
    *,
    fragment: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """Render the template, or only its partial `fragment` when HTMX asks for a part.

    A page without a fragment is always whole.
    """
    if fragment is not None and wants_fragment(request):
        response = render(request, f"{template}#{fragment}", context, status=status)
        if len(get_messages(request)):
            response.content += _messages(request)
    else:
        response = render(request, template, context, status=status)
    return uncached(response)


def form_page(
    request: HtmxRequest,
    template: str,
    form: BaseForm,
    context: dict[str, Any] | None = None,
    *,
    fragment: str | None = None,
) -> HttpResponse:
    """Render the page of a form; one that was not accepted has status 422."""
    context = {"form": form, **(context or {})}
    status = 422 if form.errors else 200
    return page(request, template, context, fragment=fragment, status=status)


def done(request: HtmxRequest, to: str, *, event: str) -> HttpResponse:
    """Answer a completed change: redirect a browser, or send `event` to an HTMX page.

    `event` is the domain event that the parts of the page which show the change listen to.
    """
    if not wants_fragment(request):
        return uncached(redirect(to))
    response = HttpResponse(_messages(request))
    trigger_client_event(response, "close-dialog", {})
    trigger_client_event(response, event, {})
    return uncached(response)


def _messages(request: HtmxRequest) -> bytes:
    """Return the messages as an out-of-band part, for any fragment to carry along."""
    return render_to_string("messages.html", {"oob": True}, request).encode()


def elsewhere(request: HtmxRequest, to: str) -> HttpResponse:
    """Send the browser to another page, even from within a dialog."""
    return uncached(HttpResponseClientRedirect(to) if wants_fragment(request) else redirect(to))


def too_many(request: HttpRequest, limit: Limit) -> HttpResponse | None:
    """Count the request; return a page that says to come again later when there were too many."""
    seconds = limit.exceeded(request)
    if not seconds:
        return None
    response = uncached(render(request, "429.html", {"seconds": seconds}, status=429))
    response["Retry-After"] = str(seconds)
    return response


def uncached(response: HttpResponse) -> HttpResponse:
    """Keep the answer out of every cache: pages differ by member, and fragments by header."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request", "Cookie"])
    return response


def with_secret(response: HttpResponse) -> HttpResponse:
    """Keep a page that shows a secret out of caches and uncompressed: its length would tell."""
    patch_cache_control(response, no_store=True, no_transform=True)
    return response
