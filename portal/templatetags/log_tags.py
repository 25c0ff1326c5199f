"""How templates tell what the log says."""

from typing import Any

from django import template

from portal.activity import Action
from portal.models import LogEntry

register = template.Library()


@register.filter
def told(entry: LogEntry) -> str:
    """Return what happened, with the slot where one is concerned: "Primary license key reset"."""
    label = Action(entry.action).label if entry.action in Action.values else entry.action
    return f"{entry.slot.capitalize()} {label.lower()}" if entry.slot else str(label)


@register.filter
def particulars(entry: LogEntry) -> list[tuple[str, str]]:
    """Return the details of a row as (name, value) for people; a change is "before → after"."""
    return [(name.replace("_", " "), _plain(value)) for name, value in entry.details.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"before", "after"}:
        return f"{_plain(value['before'])} → {_plain(value['after'])}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else str(value)
