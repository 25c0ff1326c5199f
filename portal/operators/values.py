"""Values of rows as the admin shows them: moments, badges, identifiers, links to other rows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, quote
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.urls import reverse
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from portal.web.tags import copy_button, moment

AS_WRITTEN = {"jti"}
"""Labels that stay as they are."""

NOTHING = mark_safe('<span class="muted">–</span>')


@dataclass(frozen=True)
class Shown:
    """A value that pages show in another way than exports, which write the text."""

    text: str
    html: SafeString

    def __str__(self) -> str:
        return self.text

    def __html__(self) -> str:
        """Return what templates put into a page."""
        return self.html


@lru_cache(maxsize=256)
def badge(label: str, tone: str) -> Shown:
    """Return a badge; tones are those of app.css."""
    html = format_html('<span class="badge" data-tone="{}">{}</span>', tone, label)
    return Shown(label, html)


def label_of(name: str, page: Any) -> str:
    """Return the label of a column or of a method of the admin class."""
    label = str(label_for_field(name, page.model, page))
    return label if label in AS_WRITTEN else capfirst(label)


def shown_label(name: str, page: Any) -> str:
    """Return the label for people: "Created" for "Created at", "Created by" for its name."""
    label = label_of(name, page)
    return label.removesuffix(" name" if label.endswith(" by name") else " at")


def reader(name: str, page: Any, *, clock: bool, linked: bool = True) -> Callable[[Any], Any]:
    """Return what reads the column or method `name` of a row and makes HTML of it.

    It is looked up once for all rows of a list; `clock` adds the time to the day of a moment,
    `linked` leads from another row to its page.
    """
    tones = page.badges.get(name)
    try:
        field = page.opts.get_field(name)
    except FieldDoesNotExist:
        own = getattr(page, name, None)
        read = own if callable(own) else lambda row: getattr(row, name)
        return lambda row: displayed(read(row), clock=clock, linked=linked)
    if field.many_to_many:
        return lambda row: ", ".join(map(str, getattr(row, name).all())) or NOTHING
    labels, known = dict(field.flatchoices), {}

    def of_column(row: Any) -> Any:
        value = getattr(row, name)
        if value in (None, ""):
            return NOTHING
        if field.is_relation:  # many rows of a list name the same one
            if value.pk not in known:
                known[value.pk] = displayed(value, linked=linked)
            return known[value.pk]
        label = labels.get(value, value) if labels else value
        if tones:
            return badge(str(displayed(label)), tones.get(value, "muted"))
        return _code(value) if name in page.codes else displayed(label, clock=clock, linked=linked)

    return of_column


def displayed(value: Any, *, clock: bool = False, linked: bool = True) -> Any:
    """Return the value for a page."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return moment(value, clock=clock)
    if isinstance(value, UUID):
        return _code(value)
    if linked and isinstance(value, Model) and admin.site.is_registered(type(value)):
        return format_html('<a href="{}">{}</a>', page_of(value), value)
    if value and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return format_html_join(", ", "<code>{}</code>", ((item,) for item in value))
    if isinstance(value, (Mapping, list)):
        text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
        return format_html('<pre class="code">{}</pre>', text) if value else NOTHING
    return value


def _code(text: object) -> SafeString:
    return SafeString(f"<code>{escape(str(text))}</code>")


def page_of(row: Model) -> str:
    """Return the address of the row's page."""
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[quote(row.pk)])


def facts(names: list[str], row: Any, page: Any) -> list[tuple[str, str, Any]]:
    """Return (name, label, HTML) of each column or method that has a value in the row."""
    told = ((name, shown_label(name, page), _fact(name, row, page)) for name in names)
    return [fact for fact in told if fact[2] not in (NOTHING, "")]


def _fact(name: str, row: Any, page: Any) -> Any:
    value = reader(name, page, clock=True)(row)
    raw = getattr(row, name, None)
    if isinstance(raw, UUID) or (raw and name in page.codes):
        label = label_of(name, page)
        return format_html(
            '<span class="id-cell">{}{}</span>', value, copy_button(raw, label.lower())
        )
    return conditional_escape(value)  # templates do not ask for __html__
