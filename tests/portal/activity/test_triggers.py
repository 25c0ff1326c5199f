"""What ordinary statements cannot do to the log, whoever sends them."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from portal.activity.actions import Action
from portal.activity.chain import HASHED, NEWEST
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.verify import verify
from portal.core.actors import SYSTEM

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tables_owner")]
TABLE, CHAINS = LogEntry._meta.db_table, LogChain._meta.db_table
COLUMNS = ", ".join(f'"{field.column}"' for field in LogEntry._meta.concrete_fields)
FORGED = "f" * 64


@pytest.fixture
def tenant(contoso):
    for number in range(3):
        with transaction.atomic():
            record(
                actor=SYSTEM,
                action=Action.RECORD_CHANGED,
                tenant_id=contoso.pk,
                details={"number": number},
            )
    return contoso


def execute(*statements):
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def stored():
    return list(LogEntry.objects.order_by("id").values()), list(LogChain.objects.values())


def row_with(**changes):
    """Return a SELECT of row 2, with these columns changed."""
    fields = [field.column for field in LogEntry._meta.concrete_fields]
    values = ", ".join(str(changes.get(column, f'"{column}"')) for column in fields)
    return f"({COLUMNS}) SELECT {values} FROM {TABLE} WHERE seq = 2"


OF_CHAIN = {
    "counted back": f"UPDATE {CHAINS} SET count = 2, head = '{FORGED}'",
    "counted back with the head kept": f"UPDATE {CHAINS} SET count = 2",
    "counted on by two": f"UPDATE {CHAINS} SET count = 5, head = '{FORGED}'",
    "another head": f"UPDATE {CHAINS} SET head = '{FORGED}'",
    "counted on without a head": f"UPDATE {CHAINS} SET count = 4",
    "counted on with no hash": f"UPDATE {CHAINS} SET count = 4, head = 'x'",
    "checkpoint without a signature": f"UPDATE {CHAINS} SET kept_from = 3",
    "checkpoint with another hash": f"UPDATE {CHAINS} SET kept_previous = '{FORGED}'",
    "checkpoint with another signature": f"UPDATE {CHAINS} SET kept_signature = '{FORGED}'",
    "checkpoint beyond the rows": (
        f"UPDATE {CHAINS} SET kept_from = 5, kept_signature = '{FORGED}'"
    ),
    "given to another tenant": f"UPDATE {CHAINS} SET tenant_id = tenant_id || '1'",
    "removed": f"DELETE FROM {CHAINS}",
}
OF_ROWS = {
    "changed": f"UPDATE {TABLE} SET reason = 'x'",
    "given another id": f"UPDATE {TABLE} SET id = id + 1000 WHERE seq = 2",
    "removed": f"DELETE FROM {TABLE} WHERE seq = 3",
    "written again below the count": f"INSERT INTO {TABLE} {row_with(id='id + 1000', seq=1)}",
}


@pytest.mark.parametrize("statement", OF_CHAIN.values(), ids=OF_CHAIN)
def test_the_chain_is_not_turned_back(statement, tenant):
    before = stored()
    if connection.vendor == "postgresql":
        statement = statement.replace("tenant_id || '1'", "gen_random_uuid()")
    with pytest.raises(DatabaseError, match="append-only: its count never falls"):
        execute(statement)
    assert stored() == before


@pytest.mark.parametrize("statement", OF_ROWS.values(), ids=OF_ROWS)
def test_a_row_is_not_rewritten(statement, tenant):
    before = stored()
    with pytest.raises(DatabaseError, match="append-only: its rows"):
        execute(statement)
    assert stored() == before


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "changes",
    [{"reason": "'x'"}, {"id": "id + 1000", "reason": "'x'"}, {"seq": 99}],
    ids=["known id", "known number", "known id with another number"],
)
def test_sqlite_does_not_replace_a_row(changes, tenant):
    before = stored()
    with pytest.raises(DatabaseError, match="append-only"):
        execute(f"INSERT OR REPLACE INTO {TABLE} {row_with(**changes)}")
    assert stored() == before


@pytest.mark.sqlite
def test_sqlite_does_not_replace_a_chain(tenant):
    before = stored()
    columns = "(tenant_id, count, head, kept_from, kept_previous, kept_signature)"
    values = f"('{tenant.pk.hex}', 1, 'x', 1, '', '')"
    execute(f"INSERT OR REPLACE INTO {CHAINS} {columns} VALUES {values}")
    assert stored() == before


OTHER = uuid.UUID(int=9)
OF_CHAIN_TABLE = "(rowid, tenant_id, count, head, kept_from, kept_previous, kept_signature)"
BY_ROWID = {
    "inserted": (
        f"REPLACE INTO {CHAINS} {OF_CHAIN_TABLE} "
        f"SELECT rowid, '{OTHER.hex}', 0, '', 1, '', '' FROM {CHAINS} WHERE count = 3"
    ),
    "inserted as text": (
        f"REPLACE INTO {CHAINS} {OF_CHAIN_TABLE} "
        f"SELECT CAST(rowid AS TEXT), '{OTHER.hex}', 0, '', 1, '', '' FROM {CHAINS} WHERE count = 3"
    ),
    "updated": (
        f"UPDATE OR REPLACE {CHAINS} "
        f"SET rowid = (SELECT rowid FROM {CHAINS} WHERE count = 3) WHERE count = 0"
    ),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("statement", BY_ROWID.values(), ids=BY_ROWID)
def test_sqlite_does_not_replace_a_chain_by_its_hidden_rowid(statement, tenant):
    LogChain.objects.create(tenant_id=uuid.UUID(int=8))
    before = stored()
    with pytest.raises(DatabaseError, match="append-only"):
        execute(statement)
    assert stored() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 2},
        {"head": FORGED},
        {"kept_from": 999},
        {"kept_previous": FORGED},
        {"kept_signature": FORGED},
        {"erased_to": 5},
        {"erased_signature": FORGED},
    ],
    ids=str,
)
def test_a_chain_begins_empty(changes, tenant):
    before = stored()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        LogChain.objects.create(tenant_id=OTHER, **changes)
    assert stored() == before


@pytest.mark.postgres
@pytest.mark.parametrize("table", [TABLE, CHAINS])
def test_postgresql_does_not_truncate(table, tenant):
    before = stored()
    with pytest.raises(DatabaseError, match="append-only"):
        execute(f"TRUNCATE {table}")
    assert stored() == before


@pytest.mark.postgres
def test_a_temporary_table_does_not_stand_in_for_the_checkpoints(tenant):
    before = stored()
    with pytest.raises(DatabaseError, match="append-only"):
        execute(
            f"CREATE TEMPORARY TABLE {CHAINS} ON COMMIT DROP AS SELECT * FROM {CHAINS}",
            f"UPDATE {CHAINS} SET kept_from = 4",
            f"DELETE FROM {TABLE}",
        )
    assert stored() == before


def test_rows_that_a_forged_checkpoint_lets_go_are_missed(tenant):
    """Three ordinary statements: open the checkpoint, cut the tail, and turn the chain back."""
    head = LogEntry.objects.get(seq=1).hash
    execute(f"UPDATE {CHAINS} SET kept_from = 4, kept_signature = '{FORGED}'")
    execute(f"DELETE FROM {TABLE} WHERE seq > 1")
    with pytest.raises(DatabaseError, match="append-only"):
        execute(f"UPDATE {CHAINS} SET kept_from = 1, count = 1, head = '{head}'")
    assert verify(tenant.pk).sentence == "the checkpoint of its retention was forged"


def test_the_hash_covers_every_column():
    columns = {field.attname for field in LogEntry._meta.concrete_fields}
    assert columns - {"hash", "seal"} == set(HASHED[NEWEST])


def test_an_id_is_not_given_twice(tenant):
    """A row of the previous release, which leaves the id to the database, comes between."""
    last = LogEntry.objects.latest("id").pk
    chain = LogChain.objects.get()
    LogEntry.objects.create(
        tenant_id=tenant.pk, seq=4, at="2026-01-01T00:00Z", actor_kind="system", action="test"
    )
    execute(f"UPDATE {CHAINS} SET count = 4, head = '{FORGED}'")
    with transaction.atomic():
        row = record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=tenant.pk)
    assert (chain.count, row.seq, row.pk) == (3, 5, last + 2)


def test_a_row_of_the_previous_release_is_verified_by_its_columns(tenant):
    row = LogEntry.objects.latest("id")
    assert row.hash_version == 2
    old = LogEntry.objects.create(
        tenant_id=tenant.pk, seq=4, at="2026-01-01T00:00Z", actor_kind="system", action="test"
    )
    old.refresh_from_db()
    assert old.hash_version == 1
