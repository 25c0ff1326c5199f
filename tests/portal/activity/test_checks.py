"""`check --database` says when the database does not guard the log."""

import pytest
from django.conf import settings
from django.db import connection

from portal.activity.checks import log_is_guarded
from portal.activity.triggers import CHAINS, TABLE, install_triggers, remove_triggers
from tests.support.database import as_owner
from tests.support.postgres import ROLE

pytestmark = pytest.mark.django_db


def said():
    return [(warning.id, warning.msg) for warning in log_is_guarded(databases=["default"])]


def test_nothing_is_said_of_a_log_that_is_guarded():
    assert said() == []
    assert log_is_guarded(databases=None) == []


def test_missing_triggers_are_named(tables_owner):
    remove_triggers()
    [(warning, sentence)] = said()
    assert warning == "portal.W002"
    assert "log_entry_no_update, log_entry_no_delete, log_entry_no_replace" in sentence


OLDER = {
    "sqlite": f"CREATE TRIGGER log_chain_no_replace BEFORE INSERT ON {CHAINS} "
    "BEGIN SELECT RAISE(IGNORE); END",
    "postgresql": "CREATE OR REPLACE FUNCTION log_chain_refuse() RETURNS trigger "
    "LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
}


def test_a_trigger_of_an_older_release_is_named(tables_owner):
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER log_chain_no_replace")
        cursor.execute(OLDER[connection.vendor])
    [(warning, sentence)] = said()
    assert (warning, "log_chain_no_replace" in sentence) == ("portal.W002", True)
    install_triggers()
    assert said() == []


@pytest.mark.postgres
def test_a_trigger_that_is_switched_off_is_named(tables_owner):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER log_entry_no_update")
    assert said() == [
        (
            "portal.W002",
            (
                "Triggers that guard the log are missing, switched off or not of this release: "
                "log_entry_no_update."
            ),
        )
    ]


POWERS = [
    ("may alter the table portal_logentry", f"GRANT TRUNCATE ON {TABLE} TO {ROLE}"),
    ("may alter the table portal_logentry", f"GRANT TRIGGER ON {TABLE} TO {ROLE}"),
    ("may remove rows of the table portal_logentry", f"GRANT DELETE ON {TABLE} TO {ROLE}"),
    ("owns the table portal_logentry", f"ALTER TABLE {TABLE} OWNER TO {ROLE}"),
    ("owns 1 other tables", f"ALTER TABLE portal_outbox OWNER TO {ROLE}"),
    ("owns the function log_entry_refuse", f"ALTER FUNCTION log_entry_refuse OWNER TO {ROLE}"),
    ("owns the schema public", f"ALTER SCHEMA public OWNER TO {ROLE}"),
    ("owns the schema public", "ALTER DATABASE {database} OWNER TO " + ROLE),
    ("is a superuser", f"ALTER ROLE {ROLE} SUPERUSER"),
]


@pytest.mark.postgres
@pytest.mark.parametrize(("power", "statement"), POWERS)
def test_every_power_over_the_guards_is_warned_of(power, statement, monkeypatch):
    monkeypatch.setattr(settings, "DEMONSTRATION", False)
    assert said() == []
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(statement.format(database=connection.settings_dict["NAME"]))
    [(warning, sentence)] = said()
    assert (warning, f"The portal's database role {power}, so" in sentence) == ("portal.W003", True)
