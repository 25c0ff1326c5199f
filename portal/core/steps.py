"""Remove many rows without making others wait."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

ROWS_PER_STEP = 500
"""Rows that one transaction removes."""


def remove_in_steps(rows: QuerySet[Any], *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove the rows in short transactions, until `stopped()`; return how many are gone."""
    removed, model = 0, rows.model
    while not stopped() and (keys := list(rows.values_list("pk", flat=True)[:ROWS_PER_STEP])):
        removed += model._base_manager.filter(pk__in=keys).delete()[1].get(model._meta.label, 0)
    return removed
