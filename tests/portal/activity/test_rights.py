"""The portal's role on PostgreSQL may work with the tables, and change neither them nor the log."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.db.models import F
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.rights import grant_rights
from portal.activity.triggers import CHAINS, TABLE
from portal.core.actors import SYSTEM
from tests.support.database import as_owner
from tests.support.postgres import ROLE

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

REFUSED = [
    f"UPDATE {TABLE} SET action = 'x'",
    f"DELETE FROM {TABLE}",
    f"DELETE FROM {CHAINS}",
    f"UPDATE {CHAINS} SET kept_from = 2, kept_signature = repeat('f', 64)",
    f"TRUNCATE {TABLE}",
    f"DROP TABLE {TABLE}",
    f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL",
    f"CREATE TRIGGER mine BEFORE INSERT ON {TABLE} EXECUTE FUNCTION log_entry_refuse()",
    "DROP FUNCTION log_entry_refuse CASCADE",
    "ALTER TABLE portal_tenant ADD COLUMN mine text",
    "DROP TABLE portal_tenant",
    "TRUNCATE portal_outbox",
    "CREATE TABLE mine (id int)",
    "DELETE FROM django_migrations",
    "SET session_replication_role = replica",
]


def execute(statement):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("statement", REFUSED)
def test_the_role_may_not(statement):
    with pytest.raises(ProgrammingError, match="permission denied|must be owner"):
        execute(statement)


def test_rights_that_were_granted_by_hand_are_taken_back(contoso):
    LogEntry.objects.create(seq=1, at="2026-01-01T00:00Z", actor_kind="system", action="test")
    with as_owner():
        execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
        grant_rights()
        grant_rights()
    with pytest.raises(ProgrammingError, match="permission denied"):
        execute(f"DELETE FROM {TABLE}")
    LogChain.objects.create(tenant_id=contoso.pk)
    assert LogChain.objects.update(count=F("count") + 1, head="f" * 64) == 1


def test_a_role_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setattr(settings, "DATABASE_ROLE", "nobody")
    with pytest.raises(CommandError, match='^The role "nobody" of DATABASE_URL does not exist'):
        grant_rights()


@pytest.mark.parametrize("command", [["prune_log", "--older-than", "1"], ["migrate"]])
def test_commands_of_the_owner_say_so_to_another_role(command, contoso):
    old = timezone.now() - timedelta(days=2)
    with transaction.atomic():
        record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=contoso.pk, now=old)
    with pytest.raises(CommandError) as refused:
        call_command(*command, verbosity=0)
    assert "Set MIGRATION_DATABASE_URL to the role that owns the tables" in str(refused.value)
