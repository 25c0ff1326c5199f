"""The form in which the log records a change: values before and after, by field."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import ForeignKey, Model

from portal.core.validation import refuse_invalid

type Details = dict[str, dict[str, Any]]
"""`{"before": {field: value}, "after": {field: value}}`, as JSON that people read."""


def change(row: Model, values: Mapping[str, Any]) -> Details | None:
    """Set these values, save those that differ, and return what changed, or None.

    The caller has locked the row. Raises Refused when the values break the row's own rules.
    """
    before = described(row, values)
    for name, value in values.items():
        setattr(row, name, value)
    changed = _differing(row, before)
    if changed:
        refuse_invalid(row, fields=changed)  # normalises the values too
        changed = _differing(row, before)
    if not changed:
        return None
    after = described(row, changed)
    row.save(update_fields=changed)
    return {
        "before": {name: before[name] for name in changed},
        "after": after,
    }


def _differing(row: Model, before: Mapping[str, Any]) -> list[str]:
    after = described(row, before)
    return [name for name in before if before[name] != after[name]]


def addition(row: Model, names: Iterable[str]) -> Details:
    """Return these fields of a new row as a change."""
    return {"before": {}, "after": described(row, names)}


def described(row: Model, names: Iterable[str]) -> dict[str, Any]:
    """Return these fields of the row: names in place of numbers, moments in ISO 8601."""
    return {name: _described(row, name) for name in names}


def _described(row: Model, name: str) -> Any:
    value = getattr(row, name)
    if isinstance(row._meta.get_field(name), ForeignKey) and value is not None:
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
