"""How templates tell what the log says."""

from django import template

from portal.activity import Action
from portal.models import LogEntry

register = template.Library()


@register.filter
def told(entry: LogEntry) -> str:
    """Return what happened, with the slot where one is concerned: "Primary license key reset"."""
    label = Action(entry.action).label if entry.action in Action.values else entry.action
    return f"{entry.slot.capitalize()} {label.lower()}" if entry.slot else str(label)
