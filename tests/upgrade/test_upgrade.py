"""A database of version 1.0 with rows in every table becomes one of today, and loses nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from portal.config.schema import differences
from tests.support.baseline import LOG_KEY
from tests.support.upgrades import BASELINE, Database
from tests.upgrade.record import APPS

SEEDED = {"subscriptions_plan"}  # every migrate adds the plans that ship


@dataclass
class Upgrade:
    """What was there before, and the database after."""

    before: dict[str, dict[Any, dict[str, Any]]]
    database: Database


@pytest.fixture(scope="module")
def upgrade(baseline: Database, make_database: Callable[..., Database]) -> Upgrade:
    database = make_database(like=baseline)
    before = database.contents()
    status, _, err = database.run("migrate", "--no-input")
    assert status == 0, err
    return Upgrade(before, database)


def declared(attribute: str) -> set[str]:
    """Return what the migrations after the baseline declare in an attribute."""
    found = MigrationLoader(None).disk_migrations.items()
    return {
        name
        for key, migration in found
        if key[0] in APPS and key not in BASELINE
        for name in getattr(migration, attribute, ())
    }


def test_every_column_of_the_baseline_was_filled(upgrade):
    with_rows = {table for table, rows in upgrade.before.items() if rows}
    assert with_rows == upgrade.before.keys()
    empty = [
        f"{table}.{column}"
        for table, rows in upgrade.before.items()
        for column in next(iter(rows.values()))
        if all(row[column] is None for row in rows.values())
    ]
    assert empty == []


def test_no_row_and_no_value_is_lost(upgrade):
    after = upgrade.database.contents()
    rewritten = declared("rewrites")
    lost = []
    for table in upgrade.before.keys() & after.keys():
        rows = upgrade.before[table]
        missing, added = rows.keys() - after[table].keys(), after[table].keys() - rows.keys()
        lost += [f"{table} {key} is missing" for key in missing]
        lost += [f"{table} {key} is new" for key in added if table not in SEEDED]
        lost += [
            f"{table} {key}: {column} was {value!r} and is {after[table][key][column]!r}"
            for key in rows.keys() & after[table].keys()
            for column, value in rows[key].items()
            if column in after[table][key] and f"{table}.{column}" not in rewritten
            if after[table][key][column] != value
        ]
    assert lost == []


def test_the_tables_are_those_of_the_models(upgrade):
    assert list(differences(upgrade.database.connection, apps, exactly=False)) == []
    loader = MigrationLoader(None)
    wanted = ProjectState.from_apps(apps)
    detector = MigrationAutodetector(loader.project_state(), wanted)  # as makemigrations --check
    assert detector.changes(graph=loader.graph) == {}


def test_every_constraint_holds(upgrade):
    connection = upgrade.database.connection
    connection.check_constraints()
    statements = {
        # Of all rows: CHECK, NOT NULL and UNIQUE
        "sqlite": "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
        # None was added for new rows only, no index was left half built
        "postgresql": """
            SELECT conname FROM pg_constraint WHERE NOT convalidated OR NOT conenforced
            UNION SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid""",
    }
    with connection.cursor() as cursor:
        cursor.execute(statements[connection.vendor])
        assert cursor.fetchall() == []


def test_the_log_is_append_only_and_whole(upgrade):
    for statement in ("UPDATE portal_logentry SET reason = ''", "DELETE FROM portal_logentry"):
        with pytest.raises(DatabaseError, match="append-only"):
            upgrade.database.execute(statement)
    status, out, err = upgrade.database.run("verify_log", LOG_KEY=LOG_KEY)
    assert (status, out, err) == (0, "The log is whole: 3 rows in 1 chains.\n", "")


def test_a_second_migrate_does_nothing(upgrade):
    before = upgrade.database.contents(everything=True)
    status, out, err = upgrade.database.run("migrate", "--no-input")
    assert (status, out.count("No migrations to apply.")) == (0, 1), err
    assert upgrade.database.contents(everything=True) == before
