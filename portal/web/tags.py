"""Small parts that stand on a page dozens of times; every template has these tags.

They are functions because including a template costs more than all that such a part shows.
"""

from datetime import UTC, datetime
from functools import cache
from html import escape

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from portal.activity.actions import EVENT_WORDS
from portal.core.countries import country_name
from portal.core.dates import day, is_near, near, zone_label

register = template.Library()


@register.simple_tag
@cache
def icon(name: str) -> str:
    """Return an icon of the sprite (vendor/lucide/icons.svg)."""
    return render_to_string("icon.html", {"name": name})


@register.simple_tag
def moment(
    at: datetime, *, clock: bool = False, seconds: bool = False, zone: bool = True
) -> SafeString:
    """Return the day of a moment in the reader's zone, and its time if `clock`.

    `seconds` gives the time to the second. The zone is beside the time, unless the block around it
    names it once (`zone=False`). The title has both in UTC, to the second.
    """
    local = timezone.localtime(at)
    shown = day(local)
    if clock or seconds:
        shown = f"{shown}, {local:%H:%M:%S}" if seconds else f"{shown}, {local:%H:%M}"
        if zone:
            shown = f"{shown} {zone_label(local)}"
    return _time(at, shown)


@register.simple_tag
def moment_ahead(at: datetime, *, clock: bool = False) -> SafeString:
    """Return a moment as `moment` does, or "today at 22:15 UTC+1" if it comes within a day."""
    now = timezone.now()
    return _time(at, near(at, now)) if is_near(at, now) else moment(at, clock=clock)


def _time(at: datetime, shown: str) -> SafeString:
    utc = at.astimezone(UTC)
    return SafeString(  # figures and names of months: nothing to escape
        f'<time datetime="{utc.isoformat()}"\n'
        f'    title="{day(utc)}, {utc:%H:%M:%S} UTC"\n'
        f"    >{shown}</time>"
    )


@register.simple_tag
def written(value: str | datetime) -> str:
    """Return a moment with its time, and text as it is."""
    return moment(value, clock=True) if isinstance(value, datetime) else value


@register.filter
def event_name(event: str) -> str:
    """Return the name of a type of events, in words."""
    return EVENT_WORDS[event][0] if event in EVENT_WORDS else event


@register.filter
def country(code: str) -> str:
    """Return the name of a country by its code."""
    return country_name(code)


@register.simple_tag
def portal_name() -> str:
    """Return the portal's name, for pages that have no request and so no context."""
    return settings.PORTAL_NAME


@register.simple_tag
def support_links() -> SafeString:
    """Return how to reach the vendor and where its state stands, as the settings have it."""
    links = []
    if settings.SUPPORT_URL:
        links.append(format_html('<a href="{}" rel="noopener">Get help</a>', settings.SUPPORT_URL))
    if settings.SUPPORT_EMAIL:
        address = settings.SUPPORT_EMAIL
        links.append(format_html('Write to <a href="mailto:{}">{}</a>', address, address))
    if settings.STATUS_URL:
        links.append(format_html('<a href="{}" rel="noopener">Status</a>', settings.STATUS_URL))
    return format_html_join(" · ", "{}", ((link,) for link in links))


@register.simple_tag
def copy_button(value: object, name: str) -> SafeString:
    """Return a button that copies the value; `name` tells people what it is."""
    text, name = escape(str(value)), escape(name)
    return SafeString(
        f'<button type="button" class="btn-icon" '
        f'data-copy="{text}" data-copy-name="{capfirst(name)}"\n'
        f'    aria-label="Copy {name}" title="Copy {name}">\n  {icon("copy")}</button>\n'
    )
