"""A database of version 1.0 with rows in every table becomes one of today, and loses nothing."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import pytest
from django.apps import apps
from django.db import DatabaseError
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from portal.config.schema import differences
from portal.core.names import normalised
from tests.support.baseline import LOG_KEY
from tests.support.upgrades import Contents, Database

SEEDED = {
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
    "django_migrations",
    "subscriptions_plan",
}
"""Tables to which every migrate adds rows: its records, permissions, groups, plans that ship."""

REWRITTEN = dict.fromkeys(
    [
        "portal_tenant.name",
        "portal_user.name",
        "subscriptions_plan.name",
        "subscriptions_subscription.name",
    ],
    normalised,
)
"""What becomes of the values of a column that a migration lists in `rewrites`."""


@dataclass
class Upgrade:
    """What was there before, and the database after."""

    before: Contents
    database: Database


@pytest.fixture(scope="module")
def upgrade(baseline: Database, make_database: Callable[..., Database]) -> Upgrade:
    database = make_database(like=baseline)
    before = database.contents()
    status, _, err = database.run("migrate", "--no-input")
    assert status == 0, err
    return Upgrade(before, database)


def expected(before: Contents) -> Contents:
    """Return what must be there after: all of it, but for what migrations change on purpose."""
    rows = deepcopy(before)
    for name, value_of in REWRITTEN.items():
        table, column = name.split(".")
        for row in rows[table].values():
            row[column] = value_of(row[column])
    addresses = rows["account_emailaddress"]  # portal.0005 deletes those that wait beside another
    confirmed = {row["user_id"] for row in addresses.values() if row["verified"]}
    waiting = {
        key for key, row in addresses.items() if not row["verified"] and row["user_id"] in confirmed
    }
    assert waiting
    rows["account_emailaddress"] = {
        key: row for key, row in addresses.items() if key not in waiting
    }
    return rows


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
    lost = []
    for table, rows in expected(upgrade.before).items():
        found = after.get(table, {})
        lost += [f"{table} {key} is missing" for key in rows.keys() - found.keys()]
        if table not in SEEDED:
            lost += [f"{table} {key} is new" for key in found.keys() - rows.keys()]
        lost += [
            f"{table} {key}: {column} is not {value!r} but {found[key].get(column)!r}"
            for key in rows.keys() & found.keys()
            for column, value in rows[key].items()
            if found[key].get(column) != value
        ]
    assert lost == []


def test_a_column_that_a_migration_rewrites_has_an_expected_value():
    declared = {
        column
        for migration in MigrationLoader(None).disk_migrations.values()
        for column in getattr(migration, "rewrites", ())
    }
    assert declared == REWRITTEN.keys()


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
    before = upgrade.database.contents()
    status, out, err = upgrade.database.run("migrate", "--no-input")
    assert (status, out.count("No migrations to apply.")) == (0, 1), err
    assert upgrade.database.contents() == before
