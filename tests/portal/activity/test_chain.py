"""`verify_log` finds what was done to the log; `prune_log` leaves a signed checkpoint."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from portal.activity import prune as pruning
from portal.activity import verify as verifying
from portal.activity.actions import Action
from portal.activity.chain import chained_hash, checkpoint_signature
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.triggers import install_triggers, missing_triggers, remove_triggers
from portal.core.actors import SYSTEM

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("tables_owner")]
TABLE = LogEntry._meta.db_table


def happened(tenant, rows=1, age=0):
    at = timezone.now() - timedelta(days=age)
    for number in range(rows):
        with transaction.atomic():
            record(
                actor=SYSTEM,
                action=Action.RECORD_CHANGED,
                tenant_id=tenant.pk,
                details={"number": number, "name": "Ünïcode ✓", "share": 0.1},
                now=at,
            )


def row(tenant, seq):
    return LogEntry.objects.filter(tenant_id=tenant.pk, seq=seq)


def verified():
    """Return the exit sentence of `verify_log`, and what it says on standard error."""
    out, err = StringIO(), StringIO()
    try:
        call_command("verify_log", stdout=out, stderr=err)
    except CommandError as error:
        return str(error), err.getvalue()
    return out.getvalue().strip(), err.getvalue()


def prune(days):
    out = StringIO()
    call_command("prune_log", "--older-than", str(days), stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def unlocked():
    """Take the triggers away, as somebody with the database's password can."""
    remove_triggers()
    yield
    install_triggers()


def test_a_whole_log_is_whole(contoso, fabrikam):
    happened(contoso, 5)
    happened(fabrikam, 2)
    assert verified() == ("The log is whole: 7 rows in 2 chains.", "")


def test_an_empty_log_is_whole(db):
    assert verified() == ("The log is whole: 0 rows in 0 chains.", "")


def changed(tenant):
    row(tenant, 3).update(actor_name="Somebody else")


def details_changed(tenant):
    row(tenant, 3).update(details={"number": 7})


def left_out(tenant):
    row(tenant, 3).delete()


def moved(tenant):
    for old, new in ((3, 99), (4, 3), (99, 4)):
        row(tenant, old).update(seq=new)


def cut_tail(tenant):
    LogEntry.objects.filter(tenant_id=tenant.pk, seq__gte=4).delete()


def all_cut(tenant):
    LogEntry.objects.filter(tenant_id=tenant.pk).delete()


def head_changed(tenant):
    LogChain.objects.filter(pk=tenant.pk).update(head="0" * 64)


def counted_back(tenant):
    LogChain.objects.filter(pk=tenant.pk).update(count=3, head=row(tenant, 3).get().hash)


def chain_removed(tenant):
    LogChain.objects.filter(pk=tenant.pk).delete()


def rewritten(tenant):
    """Rewrite the rest of the chain as somebody would who has the code, but not the key."""
    from django.conf import settings

    own, settings.LOG_KEY = settings.LOG_KEY, "guessed guessed guessed guessed guessed"
    previous = row(tenant, 2).get().hash
    for entry in LogEntry.objects.filter(tenant_id=tenant.pk, seq__gte=3).order_by("seq"):
        entry.details, entry.previous = {}, previous
        entry.hash = previous = str(chained_hash(entry))
        entry.save()
    LogChain.objects.filter(pk=tenant.pk).update(head=previous)
    settings.LOG_KEY = own


def start_cut(tenant):
    LogEntry.objects.filter(tenant_id=tenant.pk, seq__lte=2).delete()


def start_cut_with_checkpoint(tenant):
    previous = row(tenant, 2).get().hash
    start_cut(tenant)
    LogChain.objects.filter(pk=tenant.pk).update(kept_from=3, kept_previous=previous)


def known(tenant, *seqs):
    return list(LogEntry.objects.filter(tenant_id=tenant.pk, seq__in=seqs).order_by("seq"))


def renumbered(tenant):
    """Give a row another id, by which the admin sorts and addresses it."""
    row(tenant, 3).update(id=row(tenant, 3).get().pk + 1_000)


def of_unknown_version(tenant):
    row(tenant, 3).update(hash_version=99, hash="")


def of_older_version(tenant):
    row(tenant, 3).update(hash_version=1)


def spliced(tenant):
    """Put in a genuine row of another past: that of a database that was put back since."""
    [foreign] = known(tenant, 3)
    LogEntry.objects.filter(tenant_id=tenant.pk, seq__gte=2).delete()
    LogChain.objects.filter(pk=tenant.pk).update(count=1, head=row(tenant, 1).get().hash)
    happened(tenant, 4)
    row(tenant, 3).delete()
    foreign.save(force_insert=True)


def written_below_checkpoint(tenant):
    """Retention removes two rows, and somebody writes one there that was not."""
    [entry] = known(tenant, 2)
    LogEntry.objects.filter(tenant_id=tenant.pk, seq__lte=2).delete()
    chain = LogChain(tenant_id=tenant.pk, kept_from=3, kept_previous=entry.hash)
    signature = checkpoint_signature(chain)
    LogChain.objects.filter(pk=tenant.pk).update(
        kept_from=3, kept_previous=entry.hash, kept_signature=signature
    )
    entry.actor_name = "Somebody else"
    entry.save(force_insert=True)


def from_a_backup(tenant):
    """Put a row back as another history of the tenant has it, which was signed with the key."""
    entry = row(tenant, 2).get()
    entry.result = "valid"
    entry.hash = chained_hash(entry)
    entry.save()


FAULTS = {
    from_a_backup: "row 3 does not hang on the row before it",
    changed: "row 3 was changed",
    details_changed: "row 3 was changed",
    left_out: "row 3 is missing",
    moved: "row 3 was changed",
    cut_tail: "the rows from 4 to 5 are missing",
    all_cut: "the rows from 1 to 5 are missing",
    head_changed: "its head was changed",
    counted_back: "the rows after 3 were never counted",
    chain_removed: "its head and count are missing",
    rewritten: "row 3 was changed",
    start_cut: "row 1 is missing",
    start_cut_with_checkpoint: "the checkpoint of its retention was forged",
    renumbered: "row 3 was changed",
    of_unknown_version: "row 3 was changed",
    of_older_version: "row 3 was changed",
    spliced: "row 3 does not hang on the row before it",
    written_below_checkpoint: "row 2, which retention removed, was written again",
}


@pytest.mark.parametrize("attack", FAULTS)
def test_what_was_done_to_the_log_is_found(attack, contoso, fabrikam, unlocked):
    happened(contoso, 5)
    happened(fabrikam, 5)
    attack(contoso)
    assert verified() == (
        "The log is not whole: 1 of 2 chains.",
        f"Contoso ({contoso.pk}): {FAULTS[attack]}.\n",
    )


def test_a_row_of_another_tenant_does_not_fill_a_gap(contoso, fabrikam, unlocked):
    happened(contoso, 3)
    happened(fabrikam, 3)
    row(contoso, 2).delete()
    row(fabrikam, 2).update(tenant_id=contoso.pk)
    assert verified()[1].count("row 2") == 2


def test_the_command_ends_with_status_1(contoso, unlocked):
    happened(contoso, 2)
    changed_row = row(contoso, 1)
    changed_row.update(result="valid")
    with pytest.raises(CommandError) as caught:
        call_command("verify_log", stderr=StringIO())
    assert caught.value.returncode == 1


# Retention


def test_old_rows_go_and_the_rest_stays_verifiable(contoso, fabrikam):
    happened(contoso, 3, age=40)
    happened(contoso, 2, age=10)
    happened(fabrikam, 2, age=10)
    assert prune(30) == "Removed 3 rows older than 30 days."
    kept = LogEntry.objects.for_tenant(contoso.pk).order_by("seq")
    assert list(kept.values_list("seq", "action")) == [
        (4, "record.changed"),
        (5, "record.changed"),
        (6, "log.pruned"),
    ]
    assert kept.last().details == {"older_than_days": 30, "rows": 3}
    assert LogEntry.objects.for_tenant(fabrikam.pk).count() == 2
    happened(contoso)
    assert verified()[1] == ""
    assert prune(30) == "Removed 0 rows older than 30 days."


def test_a_log_of_old_rows_alone_goes_entirely_but_for_the_trace(contoso):
    happened(contoso, 3, age=40)
    assert prune(30) == "Removed 3 rows older than 30 days."
    assert list(LogEntry.objects.for_tenant(contoso.pk).values_list("seq", flat=True)) == [4]
    assert verified()[1] == ""


def test_an_old_row_after_a_young_one_stays(contoso):
    happened(contoso, 1, age=1)
    happened(contoso, 1, age=40)
    assert prune(30) == "Removed 0 rows older than 30 days."


def test_a_row_of_exactly_that_age_stays(contoso):
    now = timezone.now()
    for age in (timedelta(days=30, microseconds=1), timedelta(days=30)):
        with transaction.atomic():
            record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=contoso.pk, now=now - age)
    removed = pruning.prune(
        tenant_id=contoso.pk, older_than=timedelta(days=30), actor=SYSTEM, now=now
    )
    assert (removed, LogEntry.objects.earliest("seq").seq) == (1, 2)


def test_more_rows_than_one_batch_go(contoso, monkeypatch):
    monkeypatch.setattr(pruning, "ROWS_PER_READ", 2)
    monkeypatch.setattr(verifying, "ROWS_PER_READ", 2)
    happened(contoso, 5, age=40)
    assert prune(30) == "Removed 5 rows older than 30 days."


def test_a_run_that_was_killed_is_finished_by_the_next(contoso, monkeypatch):
    happened(contoso, 3, age=40)
    with monkeypatch.context() as killed:
        killed.setattr(pruning, "_remove_below", lambda *_: 0)
        prune(30)
    assert (row(contoso, 1).count(), verified()[1]) == (1, "")
    assert prune(30) == "Removed 3 rows older than 30 days."


def test_a_log_that_is_not_whole_is_not_pruned(contoso, unlocked):
    happened(contoso, 3, age=40)
    changed(contoso)
    with pytest.raises(CommandError, match="Nothing was removed: row 3 was changed"):
        prune(30)
    assert LogEntry.objects.for_tenant(contoso.pk).count() == 3


@pytest.mark.parametrize("days", ["0", "-1", "ten", ""])
def test_the_days_are_a_number(days, contoso):
    with pytest.raises(CommandError, match="must be a whole number of days"):
        prune(days)


# Triggers


def test_rows_above_the_checkpoint_stay_even_after_retention(contoso):
    happened(contoso, 2, age=40)
    happened(contoso, 2)
    prune(30)
    with pytest.raises(DatabaseError, match="append-only"):
        row(contoso, 3).delete()
    assert row(contoso, 3).exists()


def test_the_checkpoint_of_one_tenant_lets_no_row_of_another_go(contoso, fabrikam):
    happened(contoso, 2, age=40)
    happened(fabrikam, 1)
    prune(30)
    with pytest.raises(DatabaseError, match="append-only"):
        row(fabrikam, 1).delete()


@pytest.mark.postgres
def test_postgresql_refuses_to_truncate_the_log(contoso):
    happened(contoso)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"TRUNCATE {TABLE}")
    assert LogEntry.objects.count() == 1


def test_the_triggers_are_there_after_every_migrate(unlocked):
    absent = len(missing_triggers())
    call_command("migrate", verbosity=0)
    assert (absent, missing_triggers()) == (8 if connection.vendor == "postgresql" else 6, [])
