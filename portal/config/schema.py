"""A database that does not fit its own migrations is refused before `migrate` changes it.

Until version 1.0 the first migrations were edited in place. A database made before records them
as applied, so that Django finds nothing to do there, and the portal fails on a missing column some
day later. The check here detects such a database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

APPS = ("portal", "subscriptions", "licenses")
BASELINE = {(app, "0001_initial") for app in APPS}
"""The migrations of version 1.0."""


def refuse_misfit(*, using: str, apps: Apps, **_signal: Any) -> None:
    """Raise CommandError when the tables are not those that the applied migrations make.

    Receives `pre_migrate`, with the state of the applied migrations in `apps`: for an empty
    database there is none.

    A database at the baseline must fit exactly: only there can it come from older code. After a
    later migration a column may stay for a release after its field was removed, so that only what
    is missing counts.
    """
    from django.db.migrations.loader import MigrationLoader  # noqa: PLC0415 (only migrate needs it)

    loader = MigrationLoader(connections[using])
    applied = {key for key in loader.applied_migrations or {} if key[0] in APPS}
    foreign = sorted(applied - loader.disk_migrations.keys())
    is_baseline = bool(applied) and applied <= BASELINE
    found = list(differences(connections[using], apps, exactly=is_baseline))
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if found[1:] else ""
    cause, way_out = "it was made by code older than version 1.0, or changed by hand", START_ANEW
    if foreign:
        cause = f"it was made by other code, which has a migration {'.'.join(foreign[0])}"
    elif not is_baseline:
        cause, way_out = "it was changed by something other than a migration", UNDO
    if settings.DEMONSTRATION:
        way_out = RESET
    raise CommandError(
        f"This database does not fit its migrations: {found[0]}{more}; {cause}. "
        f"Nothing was changed. {way_out}"
    )


RESET = "`make demo-reset` throws the demonstration's data away and makes it anew."
START_ANEW = (
    "It keeps working with the code that made it: export there what you need, and start this "
    "version on an empty database (docs/upgrades.md)."
)
UNDO = "Undo that change or restore a backup, then migrate again (docs/upgrades.md)."


def differences(connection: BaseDatabaseWrapper, apps: Apps, *, exactly: bool) -> Iterator[str]:
    """Say how the tables of our apps differ from the models in `apps`, one phrase each.

    `exactly` also finds what is too much, columns that differ in NULL, and missing constraints
    and indexes.
    """
    models = {
        model._meta.db_table: model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in APPS and model._meta.can_migrate(connection)
    }
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for table, model in sorted(models.items()):
            if table not in tables:
                yield f"table {table} is missing"
                continue
            yield from _column_differences(connection, cursor, model, exactly=exactly)
            if exactly:
                yield from _missing_names(connection, cursor, model)
    if exactly:
        prefixes = tuple(f"{app}_" for app in {model._meta.app_label for model in models.values()})
        for table in sorted(tables - models.keys()):
            if table.startswith(prefixes):
                yield f"table {table} is unknown"


def _column_differences(
    connection: BaseDatabaseWrapper, cursor: CursorWrapper, model: type[Model], *, exactly: bool
) -> Iterator[str]:
    table = model._meta.db_table
    fields = {field.column: field for field in model._meta.local_concrete_fields if field.column}
    columns = {
        column.name: bool(column.null_ok)
        for column in connection.introspection.get_table_description(cursor, table)
    }
    for name, field in fields.items():
        if name not in columns:
            yield f"table {table} has no column {name}"
        elif exactly and not field.primary_key and field.null != columns[name]:
            refuses = "refuses" if field.null else "allows"
            yield f"column {name} of table {table} {refuses} NULL"
    if exactly:
        for name in columns.keys() - fields.keys():
            yield f"table {table} has an unknown column {name}"


def _missing_names(
    connection: BaseDatabaseWrapper, cursor: CursorWrapper, model: type[Model]
) -> Iterator[str]:
    table = model._meta.db_table
    found = connection.introspection.get_constraints(cursor, table)
    for kind, named in (
        ("constraint", model._meta.constraints),
        ("index", model._meta.indexes),
    ):
        for one in named:
            if one.name not in found:
                yield f"table {table} has no {kind} {one.name}"
