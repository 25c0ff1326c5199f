"""The lock that every change takes first.

Order of locks everywhere: subscription, tenant, then the log's chain.
"""

from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from portal.core.rows import read


def lock[M: Model](model: type[M], pk: Any) -> M:
    """Return the row as it is now, locked until the transaction ends.

    PostgreSQL takes FOR NO KEY UPDATE: FOR UPDATE would make rows that refer to this one wait at
    their commit (FOR KEY SHARE), while they hold the log's chain, which is a deadlock. It is plain
    SQL because everybody else waits meanwhile: the ORM takes three times as long.

    On SQLite a transaction holds the write lock from its start (BEGIN IMMEDIATE). Raises the
    model's DoesNotExist for a row that is gone, TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("A row is locked in a transaction.")
    options = model._meta
    key: Any = options.pk
    ending = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    for row in read(model, ending=ending, **{key.name: pk}):
        return row
    raise model.DoesNotExist(f"There is no {options.verbose_name} {pk}.")  # type: ignore[attr-defined]
