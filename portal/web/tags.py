"""Small parts that stand on a page dozens of times; every template has these tags.

They are functions because including a template costs more than all that such a part shows.
"""

from datetime import UTC, datetime
from functools import cache

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

register = template.Library()


@register.simple_tag
@cache
def icon(name: str) -> str:
    """Return an icon of the sprite (vendor/lucide/icons.svg)."""
    return render_to_string("icon.html", {"name": name})


@register.simple_tag
def moment(at: datetime, *, clock: bool = False) -> SafeString:
    """Return the day of a moment, and its time if `clock`; the title has both to the second."""
    at = at.astimezone(UTC)
    day = f"{at.day} {at:%b %Y}"
    return format_html(
        '<time datetime="{}"\n    title="{} UTC"\n    >{}</time>',
        at.isoformat(),
        f"{day}, {at:%H:%M:%S}",
        f"{day}, {at:%H:%M} UTC" if clock else day,
    )


@register.simple_tag
def copy_button(value: object, name: str) -> SafeString:
    """Return a button that copies the value; `name` tells people what it is."""
    return format_html(
        '<button type="button" class="btn-icon" data-copy="{}" data-copy-name="{}"\n'
        '    aria-label="Copy {}" title="Copy {}">\n  {}</button>\n',
        value,
        capfirst(name),
        name,
        name,
        icon("copy"),
    )
