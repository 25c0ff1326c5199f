"""The lock that every change takes first.

Order of locks everywhere: subscription, tenant, then the log's chain.
"""

from typing import Any

from django.db import connection, transaction
from django.db.models import Model


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
    table, column = map(connection.ops.quote_name, (options.db_table, key.column))
    statement = f"SELECT * FROM {table} WHERE {column} = %s"  # noqa: S608 (no foreign text)
    if connection.vendor == "postgresql":
        statement += " FOR NO KEY UPDATE"
    rows = model._default_manager.raw(statement, [key.get_db_prep_value(pk, connection)])
    for row in rows:
        return row
    raise model.DoesNotExist(f"There is no {options.verbose_name} {pk}.")  # type: ignore[attr-defined]
