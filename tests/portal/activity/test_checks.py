"""`check --database` says when the database does not guard the log."""

import pytest
from django.conf import settings
from django.db import connection

from portal.activity.actions import Action
from portal.activity.checks import log_is_guarded
from portal.activity.entries import record
from portal.activity.triggers import CHAINS, TABLE, install_triggers, remove_triggers
from portal.core.actors import SYSTEM

pytestmark = pytest.mark.django_db


def said():
    return [(warning.id, warning.msg) for warning in log_is_guarded(databases=["default"])]


def test_nothing_is_said_of_a_log_that_is_guarded():
    assert said() == []
    assert log_is_guarded(databases=None) == []


def test_missing_triggers_are_named():
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


def test_a_trigger_of_an_older_release_is_named():
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER log_chain_no_replace")
        cursor.execute(OLDER[connection.vendor])
    [(warning, sentence)] = said()
    assert (warning, "log_chain_no_replace" in sentence) == ("portal.W002", True)
    install_triggers()
    assert said() == []


@pytest.mark.postgres
def test_a_trigger_that_is_switched_off_is_named():
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


@pytest.mark.postgres
def test_a_role_that_owns_the_tables_is_warned_of_in_production(monkeypatch):
    monkeypatch.setattr(settings, "DEMONSTRATION", False)
    things = ["function log_chain_refuse", "function log_entry_refuse", "schema public"]
    things += [f"table {CHAINS}", f"table {TABLE}"]
    sentence = "The portal's database role owns the {}, so it can switch off what guards the log."
    assert said() == [("portal.W003", sentence.format(thing)) for thing in things]


ROLE = "portal_of_a_test"
GRANTS = [
    f"CREATE ROLE {ROLE}",
    f"GRANT USAGE ON SCHEMA public TO {ROLE}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}",
    f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
    f"REVOKE UPDATE, DELETE ON {TABLE} FROM {ROLE}",
    f"REVOKE DELETE ON {CHAINS} FROM {ROLE}",
    f"SET LOCAL ROLE {ROLE}",
]


@pytest.mark.postgres
def test_a_role_as_the_page_on_postgresql_sets_it_up_suffices(contoso, monkeypatch):
    monkeypatch.setattr(settings, "DEMONSTRATION", False)
    with connection.cursor() as cursor:
        for statement in GRANTS:
            cursor.execute(statement)
    assert said() == []
    row = record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=contoso.pk)
    assert row.seq == 1


POWERS = [
    ("may alter the table", f"GRANT TRUNCATE ON {TABLE} TO {ROLE}"),
    ("may alter the table", f"GRANT TRIGGER ON {TABLE} TO {ROLE}"),
    ("owns the table", f"ALTER TABLE {TABLE} OWNER TO {ROLE}"),
    ("owns the function", f"ALTER FUNCTION log_entry_refuse OWNER TO {ROLE}"),
    ("owns the schema", f"ALTER SCHEMA public OWNER TO {ROLE}"),
]


@pytest.mark.postgres
@pytest.mark.parametrize(("power", "statement"), POWERS)
def test_every_power_over_the_guards_is_warned_of(power, statement, monkeypatch):
    monkeypatch.setattr(settings, "DEMONSTRATION", False)
    with connection.cursor() as cursor:
        for granted in [*GRANTS, "RESET ROLE", statement, f"SET LOCAL ROLE {ROLE}"]:
            cursor.execute(granted)
    [(warning, sentence)] = said()
    assert (warning, power in sentence) == ("portal.W003", True)


@pytest.mark.postgres
def test_the_owner_of_the_database_is_warned_of_its_schema(monkeypatch):
    monkeypatch.setattr(settings, "DEMONSTRATION", False)
    with connection.cursor() as cursor:
        for statement in GRANTS[:-1]:
            cursor.execute(statement)
        cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} OWNER TO {ROLE}")
        cursor.execute(GRANTS[-1])
    [(warning, sentence)] = said()
    assert (warning, "owns the schema public" in sentence) == ("portal.W003", True)
