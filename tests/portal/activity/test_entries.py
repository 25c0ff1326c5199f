"""The log: chained, append-only, and written in the transaction of the change."""

import pytest
from django.db import DatabaseError, connection, transaction

from portal.activity.actions import Action
from portal.activity.chain import chained_hash
from portal.activity.entries import record
from portal.activity.models import VENDOR, LogChain, LogEntry
from portal.core.actors import SYSTEM
from tests.support.races import race

pytestmark = pytest.mark.django_db


def add_row(tenant, **more):
    with transaction.atomic():
        return record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=tenant.pk, details=more)


def chain(tenant):
    return list(LogEntry.objects.filter(tenant_id=tenant.pk).order_by("seq"))


def test_every_row_of_a_tenant_hangs_on_the_one_before(contoso, fabrikam):
    for number in range(3):
        add_row(contoso, number=number)
        add_row(fabrikam, number=number)
    rows = chain(contoso)
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [row.previous for row in rows] == ["", rows[0].hash, rows[1].hash]
    kept = LogChain.objects.get(pk=contoso.pk)
    assert (kept.count, kept.head) == (3, rows[-1].hash)


def test_the_hash_is_recomputed_from_what_the_database_holds(contoso):
    row = add_row(contoso, name="Ünïcode ✓", nested={"b": 1, "a": [1.5, None]})
    assert chained_hash(LogEntry.objects.get(pk=row.pk)) == row.hash


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor_name", "Somebody else"), ("result", "valid"), ("details", {"n": 2}), ("seq", 9)],
)
def test_a_changed_row_has_another_hash(contoso, column, value):
    row = add_row(contoso, n=1)
    setattr(row, column, value)
    assert chained_hash(row) != row.hash


def test_the_key_of_the_hash_is_not_in_the_database(contoso, settings):
    row = add_row(contoso)
    settings.LOG_KEY = "another key of at least thirty-two characters"
    assert chained_hash(row) != row.hash


@pytest.mark.django_db(transaction=True)
def test_a_row_outside_a_transaction_is_refused(contoso):
    with pytest.raises(transaction.TransactionManagementError, match="in the transaction of what"):
        record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=contoso.pk)
    assert chain(contoso) == []


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_leaves_no_row_and_no_gap(contoso):
    add_row(contoso)
    with transaction.atomic():
        record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=contoso.pk)
        transaction.set_rollback(True)
    add_row(contoso)
    assert [row.seq for row in chain(contoso)] == [1, 2]


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor_name = 'x'", "DELETE FROM {}"])
def test_the_database_refuses_to_change_or_remove_rows(contoso, statement):
    add_row(contoso)
    with (
        pytest.raises(DatabaseError, match="append-only|permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(LogEntry._meta.db_table))
    assert len(chain(contoso)) == 1


def test_rows_without_a_tenant_belong_to_the_vendor():
    with transaction.atomic():
        row = record(actor=SYSTEM, action=Action.SIGNING_KEY_CREATED)
    assert (row.tenant_id, row.seq) == (VENDOR, 1)


@pytest.mark.django_db(transaction=True)
def test_rows_recorded_at_once_make_one_chain(contoso):
    outcomes = race(lambda: add_row(contoso), 12)
    rows = chain(contoso)
    assert sorted(row.seq for row in outcomes) == [row.seq for row in rows] == list(range(1, 13))
    assert [row.previous for row in rows] == ["", *(row.hash for row in rows[:-1])]


def test_nothing_in_the_log_is_a_foreign_key():
    assert [field.name for field in LogEntry._meta.fields if field.is_relation] == []
    assert Action.KEY_RESET.label == "License key reset"
