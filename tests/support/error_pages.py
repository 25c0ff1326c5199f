"""The pages of errors: hardly any of them can be brought about at will."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template.loader import render_to_string

REFERENCE = "0123456789abcdef"
ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("400.html", {"sentence": "The filter is not valid.", "request_id": REFERENCE}),
    ("403.html", {"exception": "Your role is viewer."}),
    ("403_csrf.html", {}),
    ("404.html", {}),
    ("405.html", {}),
    ("408.html", {"request_id": REFERENCE}),
    ("413.html", {"limit": 5_242_880, "request_id": REFERENCE}),
    ("429.html", {"seconds": 1}),
    ("500.html", {"request_id": REFERENCE}),
    ("503.html", {"request_id": REFERENCE}),
    ("503.html", {"request_id": REFERENCE, "is_unfit": True}),
]
"""Templates, with what they are rendered with."""


def error_page(template: str, context: dict[str, Any]) -> str:
    """Return the page as it is shown to somebody who is not signed in."""
    source = (settings.BASE_DIR / "templates" / template).read_text(encoding="utf-8")
    if '"bare.html"' in source:
        return render_to_string(template, context)
    request: Any = HttpRequest()
    request.method, request.META["HTTP_HOST"] = "GET", "localhost"
    request.user, request.id = AnonymousUser(), REFERENCE
    return render_to_string(template, context, request)
