"""Template tags about subscriptions and their license keys; none queries the database."""

from functools import cache
from html import escape
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from licenses.checking import badges
from licenses.models import Slot
from licenses.web.configuration import Configuration, Options
from licenses.web.rotation import Bar
from licenses.web.use_chart import UseCharts
from portal.core.dates import day
from portal.web.tags import icon, moment
from subscriptions.models import State

register = template.Library()

WAYS = {"online": "Checked online", "offline": "Verified offline"}
COUNTED = ("passed", "refused")

NOTHING_MORE = mark_safe("")
NO_KEYS = mark_safe('<span class="muted">No keys</span>')


@register.simple_tag
@cache
def state_badge(state: str) -> SafeString:
    """Return the badge of a subscription's state."""
    state = State(state)
    return format_html('<span class="badge" data-tone="{}">{}</span>', state.tone, state.label)


@register.simple_tag
def listed_badge(subscription: Any) -> SafeString:
    """Return the badge of a subscription's license keys in the list."""
    keys = listed_state(subscription)
    if keys is None:
        return NO_KEYS
    if subscription.effective_state == State.ENDED:
        return NOTHING_MORE  # the other badge says it all
    return format_html('<span class="badge" data-tone="{}">{}</span>', keys.tone, keys.label)


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


def listed_state(subscription: Any) -> badges.KeyBadge | None:
    """Return the state of a subscription's license keys in the list; None without keys.

    Needs `with_state` and `read_license_state`.
    """
    if not subscription.has_keys:
        return None
    if subscription.keys_expire_at is None:
        return badges.WITHDRAWN if subscription.has_withdrawn_key else badges.REVOKED
    now, expires_at = timezone.now(), subscription.keys_expire_at
    if expires_at <= now:
        return badges.EXPIRED
    if subscription.effective_state != State.ACTIVE:
        return badges.NOT_ACCEPTED
    if subscription.has_revoked_key:
        return badges.ONE_REVOKED
    if subscription.has_withdrawn_key:
        return badges.ONE_WITHDRAWN
    if not subscription.plan.expires_soon(expires_at, now):
        return badges.VALID
    return badges.with_days(badges.EXPIRES_SOON, expires_at, now)


@register.filter
def other_slot(slot: str) -> Slot:
    """Return the other slot."""
    return Slot(slot).other


@register.filter
def days(count: int) -> str:
    """Return "1 day" or "5 days"."""
    return "1 day" if count == 1 else f"{count} days"
