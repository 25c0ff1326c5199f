"""Times in the zone of whoever reads the page."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.core.dates import known_zone, zone_names
from portal.core.http import GetResponse

COOKIE = f"{settings.COOKIE_PREFIX}time_zone"
"""Name of the cookie in which static/js/time-zone.js sends the browser's zone."""

IN_UTC = "/admin/"
"""Prefix of the pages that stay in UTC: what operators type there means UTC too."""

AREAS = {
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
}
"""Areas of the time zone database whose zones are places; the others are old names."""


@cache
def places() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Return the zones to choose from, as choices of a field, by area."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(zone_names()):
        area, _, place = name.partition("/")
        if area in AREAS:
            label = place.replace("_", " ").replace("/", ", ")
            found.setdefault(area, []).append((name, label))
    return tuple((area, tuple(zones)) for area, zones in found.items())


def zone_of(request: HttpRequest) -> str:
    """Return the name of the reader's zone: as set in the profile, or the browser's, or UTC."""
    return known_zone(getattr(request.user, "time_zone", ""), request.COOKIES.get(COOKIE, ""))


class TimeZoneMiddleware:
    """Activates the reader's zone while a page is made; programs never come this far."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on in the reader's zone."""
        if request.path_info.startswith(IN_UTC):
            return self.get_response(request)
        with timezone.override(zone_of(request)):
            return self.get_response(request)
