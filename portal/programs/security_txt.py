"""Where researchers report a weakness (RFC 9116), for portals that name a contact."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.core.links import public_link

PATH = "/.well-known/security.txt"

VALID_FOR = timedelta(days=180)
"""RFC 9116 section 2.5.5 recommends less than a year."""


@require_safe
@login_not_required
def security_txt(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 (Django's)
    """Return contact, canonical address, language and the day until which it can be relied on.

    Raises Http404 where SECURITY_CONTACT is not set.
    """
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (timezone.now() + VALID_FOR).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        f"Canonical: {public_link(PATH)}",
        "Preferred-Languages: en",
    ]
    text = "".join(f"{line}\n" for line in lines)
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
