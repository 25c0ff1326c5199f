"""Template tags about subscriptions and their license keys; none queries the database."""

from html import escape
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from licenses.models import Slot
from licenses.web.configuration import Configuration, Options
from licenses.web.rotation import Bar
from licenses.web.use_chart import UseCharts
from portal.core.dates import day, remaining
from portal.web.tags import icon, moment, moment_ahead
from subscriptions.models import State

register = template.Library()

WAYS = {"online": "Checked online", "offline": "Verified offline"}
COUNTED = ("passed", "refused")

NO_KEYS = mark_safe('<span class="muted">–<span class="sr-only"> no keys</span></span>')
BOTH_REVOKED = mark_safe('<span class="muted">Both revoked</span>')


@register.simple_tag
def state_badges(subscription: Any) -> SafeString:
    """Return the badges of a subscription's state and needs, after `read_needs`."""
    badges = ((badge.tone, badge.label) for badge in subscription.badges)
    return format_html_join(" ", '<span class="badge" data-tone="{}">{}</span>', badges)


@register.simple_tag
def keys_expire(subscription: Any) -> SafeString:
    """Return when the first key of a subscription expires, after `read_license_state`."""
    if not subscription.has_keys:
        return NO_KEYS
    if subscription.keys_expire_at is None:
        return BOTH_REVOKED
    now, expires_at = timezone.now(), subscription.keys_expire_at
    is_active = subscription.effective_state == State.ACTIVE
    if not (is_active and subscription.plan.expires_soon(expires_at, now)):
        return moment(expires_at)
    left = remaining(expires_at, now)
    return format_html('{}<span class="soon">, in {}</span>', moment_ahead(expires_at), left)


@register.simple_tag
def opens(view: str, *arguments: object) -> SafeString:
    """Return the attributes of a link to the view that htmx takes to the dialog."""
    address = reverse(view, args=arguments)
    return format_html('href="{}" hx-get="{}" hx-target="#dialog"', address, address)


@register.simple_tag
def option_lines(configuration: Configuration) -> SafeString:
    """Return the lines of each way to check, with their copy buttons.

    A function, because a page has dozens of these lines, folded.
    """
    several = len(configuration.ways) > 1
    return format_html(
        '<div class="stack-sm">{}</div>',
        format_html_join(
            "",
            '{}<ul class="stack-sm" aria-label="Options, {}">{}</ul><p class="row">'
            '<button type="button" class="btn js-only" data-variant="outline" data-size="sm" '
            'data-copy="{}" data-copy-name="All lines, {}," aria-label="Copy all lines, {}">'
            "{} Copy all lines</button></p>",
            (
                (
                    format_html("<h3>{}</h3>", WAYS[options.way]) if several else "",
                    kind,
                    _lines(options, kind),
                    options.code,
                    kind,
                    kind,
                    icon("copy"),
                )
                for options in configuration.ways
                for kind in [f"{configuration.generation or 'any'} {options.way}"]
            ),
        ),
    )


def _lines(options: Options, kind: str) -> SafeString:
    """Return the lines as list items; `copy_button` escapes each name three times, too often here.

    A line is escaped once, by the standard library: Django's `escape` also takes lazy text.
    """
    items, copy = [], icon("copy")
    for line in options.lines:
        code, name = escape(line.code), escape(f"{line.name}, {kind}")
        items.append(
            f'<li class="token"><code class="wrap">{code}</code> '
            f'<button type="button" class="btn-icon" data-copy="{code}" data-copy-name="{name}" '
            f'aria-label="Copy {name}" title="Copy {name}">{copy}</button></li>'
        )
    return SafeString("".join(items))


@register.simple_tag
def days_of(bar: Bar) -> str:
    """Return the first and the last day of a bar: text of an SVG, which has no element for time."""
    first, last = (day(timezone.localtime(at)) for at in (bar.starts_at, bar.ends_at))
    return f"{first} – {last}"


@register.simple_tag
def use_rows(use: UseCharts) -> SafeString:
    """Return the rows of the table of checks: up to 30 days with four numbers each."""
    labels = [f"{chart.slot.label}, {kind}" for chart in use.charts for kind in COUNTED]
    return format_html_join(
        "\n",
        '<tr><th scope="row">{}</th>{}</tr>',
        (
            (
                moment(day),
                format_html_join(
                    "",
                    '<td class="num" data-label="{}">{}</td>',
                    ((label, f"{count:,}") for label, count in zip(labels, counts, strict=True)),
                ),
            )
            for day, counts in use.rows
        ),
    )


@register.filter
def other_slot(slot: str) -> Slot:
    """Return the other slot."""
    return Slot(slot).other
