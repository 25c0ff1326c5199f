"""Rows by the values of their columns, in plain SQL, for what every request or change reads.

For such a statement the ORM takes several times as long as the database.
"""

from typing import Any

from django.db import connection
from django.db.models import Model


def read[M: Model](model: type[M], *, ending: str = "", **values: Any) -> list[M]:
    """Return the rows that have these values, given by name of field.

    A list stands for any of its values, which may not be empty; None for NULL, within a list too.
    `ending` is SQL to put behind the conditions.
    """
    options, quoted = model._meta, connection.ops.quote_name
    conditions, parameters = [], []
    for name, value in values.items():
        field: Any = options.get_field(name)
        column = quoted(field.column)
        accepted = value if isinstance(value, list) else [value]
        given = [field.get_db_prep_value(v, connection) for v in accepted if v is not None]
        alternatives = [f"{column} = %s"] * len(given)
        alternatives += [f"{column} IS NULL"] if None in accepted else []
        conditions.append(f"({' OR '.join(alternatives)})")
        parameters += given
    table, condition = quoted(options.db_table), " AND ".join(conditions)
    statement = f"SELECT * FROM {table} WHERE {condition}{ending}"  # noqa: S608 (no foreign text)
    return list(model._default_manager.raw(statement, parameters))
