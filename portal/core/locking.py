"""The lock that every change takes first.

Order of locks everywhere: subscription, tenant, then the log's chain.
"""

from typing import Any

from django.db.models import Model


def lock[M: Model](model: type[M], pk: Any, *related: str) -> M:
    """Return the row as it is now, locked until the transaction ends.

    `related` names foreign keys whose rows are read and locked with it, one after the other.

    PostgreSQL takes FOR NO KEY UPDATE: FOR UPDATE would make rows that refer to this one wait at
    their commit (FOR KEY SHARE), while they hold the log's chain, which is a deadlock.

    On SQLite a transaction holds the write lock from its start (BEGIN IMMEDIATE) and
    `select_for_update` adds nothing. Raises the model's DoesNotExist for a row that is gone.
    """
    rows = model._default_manager.select_for_update(no_key=True)
    if related:
        rows = model._default_manager.select_related(*related).select_for_update(
            of=("self", *related), no_key=True
        )
    return rows.get(pk=pk)
