"""Read or remove many rows in small steps, so that no statement or transaction lasts long."""

from collections.abc import Callable, Iterator
from itertools import batched
from typing import Any

from django.db.models import Model, QuerySet

ROWS_PER_STEP = 500
"""Rows that one transaction removes."""


def remove_in_steps(rows: QuerySet[Any], *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove the rows in short transactions, until `stopped()`; return how many are gone."""
    removed, model = 0, rows.model
    while not stopped() and (keys := list(rows.values_list("pk", flat=True)[:ROWS_PER_STEP])):
        removed += model._base_manager.filter(pk__in=keys).delete()[1].get(model._meta.label, 0)
    return removed


def read_along[T: Model](rows: QuerySet[T], by: str, size: int) -> Iterator[T]:
    """Yield the rows in the order of `by`, a unique column, `size` to a statement.

    Only those are in memory, however many there are.
    """
    rows = rows.order_by(by)
    read = list(rows[:size])
    while read:
        yield from read
        read = list(rows.filter(**{f"{by}__gt": getattr(read[-1], by)})[:size])


def read_in_steps[T: Model](rows: QuerySet[T], size: int) -> Iterator[T]:
    """Yield the rows in their order, `size` to a statement; those removed meanwhile are left out.

    Only their keys are all in memory. A cursor of the database would stay open while somebody
    slow takes what was read, and PgBouncer would lose it between two transactions.
    """
    for keys in batched(list(rows.values_list("pk", flat=True)), size, strict=False):
        found = {row.pk: row for row in rows.filter(pk__in=keys)}
        yield from (found[key] for key in keys if key in found)
