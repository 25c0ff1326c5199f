"""A database that does not fit its migrations is told so, and left alone."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError

from portal.config import schema
from tests.support.upgrades import BASELINE, Database

OLD = "it was made by code older than version 1.0, or changed by hand"
HEAD = "CommandError: This database does not fit its migrations: "


@pytest.fixture
def database(baseline: Database, make_database: Callable[..., Database]) -> Database:
    return make_database(like=baseline)


@pytest.fixture(scope="module")
def baseline_apps(baseline):
    from django.db.migrations.loader import MigrationLoader

    return MigrationLoader(baseline.connection).project_state(BASELINE).apps


def found(database, apps, *, exactly=True):
    return list(schema.differences(database.connection, apps, exactly=exactly))


def refusal(database, apps):
    with pytest.raises(CommandError) as caught:
        schema.refuse_misfit(using=database.alias, apps=apps)
    return str(caught.value)


def record(database, app, name):
    database.execute(
        "INSERT INTO django_migrations (app, name, applied) "
        f"VALUES ('{app}', '{name}', '2026-11-27 00:00:00+00:00')"
    )


# What is found


def test_the_baseline_fits(baseline, baseline_apps):
    assert found(baseline, baseline_apps) == []
    schema.refuse_misfit(using=baseline.alias, apps=baseline_apps)


CHANGES = [
    # what was done, what is found, whether also when it need not fit exactly
    (
        "ALTER TABLE portal_outbox DROP COLUMN html",
        ["table portal_outbox has no column html"],
        True,
    ),
    (
        "ALTER TABLE portal_outbox ADD COLUMN old integer",
        ["table portal_outbox has an unknown column old"],
        False,
    ),
    (
        "ALTER TABLE portal_user_groups ADD COLUMN old integer",
        ["table portal_user_groups has an unknown column old"],
        False,
    ),
    ("DROP TABLE licenses_figures", ["table licenses_figures is missing"], True),
    ("CREATE TABLE licenses_old (id integer)", ["table licenses_old is unknown"], False),
    ("CREATE TABLE of_others (id integer)", [], True),
    (
        "DROP INDEX license_key_by_expiry",
        ["table licenses_licensekey has no index license_key_by_expiry"],
        False,
    ),
    (
        "DROP INDEX license_one_living",
        ["table licenses_license has no constraint license_one_living"],
        False,
    ),
]


@pytest.mark.parametrize(("statement", "expected", "always"), CHANGES)
def test_a_change_by_hand_is_found(statement, expected, always, database, baseline_apps):
    database.execute(statement)
    assert found(database, baseline_apps) == expected
    assert found(database, baseline_apps, exactly=False) == (expected if always else [])


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("ALTER COLUMN html DROP NOT NULL", "column html of table portal_outbox allows NULL"),
        (
            "ALTER COLUMN given_up_at SET NOT NULL",
            "column given_up_at of table portal_outbox refuses NULL",
        ),
    ],
)
def test_null_is_compared(statement, difference, database, baseline_apps):
    database.execute("DELETE FROM portal_outbox", f"ALTER TABLE portal_outbox {statement}")
    assert found(database, baseline_apps) == [difference]


# What the command says


def test_migrate_refuses_a_database_of_older_code_and_changes_nothing(database):
    database.execute(
        "ALTER TABLE portal_outbox DROP COLUMN html", "ALTER TABLE portal_tenant ADD COLUMN a text"
    )
    before = database.contents()
    status, _, err = database.run("migrate")
    reason = f"table portal_outbox has no column html (and 1 more); {OLD}. Nothing was changed. "
    assert (status, err) == (1, f"{HEAD}{reason}{schema.RESET}\n")
    assert database.contents() == before

    status, out, err = database.run("demo", "--no-serve")
    assert (status, out, err) == (1, "", f"{HEAD}{reason}{schema.RESET}\n")
    assert database.contents() == before


def test_outside_the_demonstration_nothing_is_to_be_thrown_away(database, baseline_apps, settings):
    settings.DEMONSTRATION = False
    database.execute("DROP TABLE licenses_figures")
    assert refusal(database, baseline_apps) == (
        "This database does not fit its migrations: table licenses_figures is missing; "
        f"{OLD}. Nothing was changed. {schema.START_ANEW}"
    )


def test_a_database_of_other_migrations_is_named_as_such(database, baseline_apps):
    record(database, "licenses", "0002_initial")
    schema.refuse_misfit(using=database.alias, apps=baseline_apps)
    database.execute("ALTER TABLE portal_outbox ADD COLUMN newer integer")
    schema.refuse_misfit(using=database.alias, apps=baseline_apps)
    database.execute("ALTER TABLE portal_outbox DROP COLUMN html")
    assert refusal(database, baseline_apps).startswith(
        "This database does not fit its migrations: table portal_outbox has no column html; "
        "it was made by other code, which has a migration licenses.0002_initial. Nothing was "
    )


def test_after_the_baseline_a_column_may_outlive_its_field(
    database, baseline_apps, monkeypatch, settings
):
    settings.DEMONSTRATION = False
    monkeypatch.setattr(schema, "BASELINE", set())  # as if a later migration were recorded
    database.execute("ALTER TABLE portal_outbox ADD COLUMN forgotten integer")
    schema.refuse_misfit(using=database.alias, apps=baseline_apps)
    database.execute("ALTER TABLE portal_outbox DROP COLUMN html")
    assert refusal(database, baseline_apps) == (
        "This database does not fit its migrations: table portal_outbox has no column html; it "
        f"was changed by something other than a migration. Nothing was changed. {schema.UNDO}"
    )
