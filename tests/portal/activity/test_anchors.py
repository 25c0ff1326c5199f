"""Heads of the log outside of the database: what is whole by itself, but is not what it was."""

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from portal.activity import anchors
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.prune import prune
from portal.activity.triggers import install_triggers, remove_triggers
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from tests.support.worker import work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tables_owner")]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
AT = "2026-11-27T12:00:00+00:00"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outside" / "anchors.jsonl"


def happened(tenant, rows=1, at=NOW):
    for number in range(rows):
        with transaction.atomic():
            record(
                actor=SYSTEM,
                action=Action.RECORD_CHANGED,
                tenant_id=tenant.pk,
                details={"number": number},
                now=at,
            )


def append(path, hours=0):
    return anchors.append(path=path, now=NOW + timedelta(hours=hours))


def verified(path):
    """Return how `verify_log --anchors` ends, and what it says on standard error."""
    out, err = StringIO(), StringIO()
    try:
        call_command("verify_log", "--anchors", str(path), stdout=out, stderr=err)
    except CommandError as error:
        return str(error), err.getvalue()
    return out.getvalue().strip(), err.getvalue()


def put_back(tenant, count):
    """Let the tenant's log be as it was after so many rows."""
    remove_triggers()
    rows = LogEntry.objects.filter(tenant_id=tenant.pk)
    rows.filter(seq__gt=count).delete()
    LogChain.objects.filter(pk=tenant.pk).update(
        count=count, head=rows.get(seq=count).hash if count else ""
    )


def lines(path):
    return path.read_text("utf-8").splitlines()


def test_a_log_that_went_on_agrees_with_its_anchors(contoso, fabrikam, path):
    happened(contoso, 2)
    assert append(path) == 1
    happened(contoso)
    happened(fabrikam)
    assert [append(path, hours=1), append(path, hours=2)] == [2, 3]
    happened(contoso)
    kept = [json.loads(line) for line in lines(path)]
    assert [{*anchor["chains"]} for anchor in kept] == [
        {str(contoso.pk)},
        {str(contoso.pk), str(fabrikam.pk)},
        set(),
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    out, err = verified(path)
    assert out.splitlines() == [
        "The log is whole: 5 rows in 2 chains.",
        f"It agrees with 3 anchors, the last of 2026-11-27T14:00:00+00:00: {kept[2]['signature']}",
    ]
    assert err == ""


def test_a_tail_that_was_cut_with_head_and_count_is_missed(contoso, fabrikam, path, caplog):
    happened(contoso, 5)
    happened(fabrikam, 1)
    append(path)
    put_back(contoso, 3)
    assert verified(path) == (
        "The log is not whole: 1 of 2 chains.",
        f"Contoso ({contoso.pk}): the rows from 4 to 5 are missing, which were there on {AT}.\n",
    )
    append(path, hours=1)
    assert [message for message in caplog.messages if str(contoso.pk) in message] == [
        f"The log of {contoso.pk} is shorter than it was: run verify_log --anchors {path}"
    ]


def test_a_log_that_was_put_back_and_went_on_is_another(contoso, path):
    happened(contoso, 5)
    append(path)
    put_back(contoso, 3)
    happened(contoso, 4, at=NOW + timedelta(minutes=1))
    append(path, hours=1)
    assert verified(path) == (
        "The log is not whole: 1 of 1 chains.",
        f"Contoso ({contoso.pk}): row 5 is not the one that was there on {AT}.\n",
    )


def test_a_log_that_was_removed_whole_is_missed(contoso, path):
    happened(contoso, 2)
    append(path)
    remove_triggers()
    LogEntry.objects.all().delete()
    LogChain.objects.all().delete()
    assert verified(path)[1] == (
        f"Contoso ({contoso.pk}): the rows from 1 to 2 are missing, which were there on {AT}.\n"
    )


@pytest.mark.parametrize("kept", [1, 2])
def test_what_retention_removed_is_not_missed(kept, contoso, path):
    happened(contoso, 3, at=NOW - timedelta(days=40))
    append(path)
    happened(contoso, kept - 1)
    prune(tenant_id=contoso.pk, older_than=timedelta(days=30), actor=SYSTEM, now=NOW)
    append(path, hours=1)
    assert verified(path)[1] == ""


def test_the_last_row_that_retention_removed_is_compared_by_the_checkpoint(contoso, path):
    happened(contoso, 3, at=NOW - timedelta(days=50))
    append(path)
    put_back(contoso, 2)
    install_triggers()
    happened(contoso, 1, at=NOW - timedelta(days=40))
    prune(tenant_id=contoso.pk, older_than=timedelta(days=30), actor=SYSTEM, now=NOW)
    assert LogChain.objects.get(pk=contoso.pk).kept_from == 4
    assert verified(path)[1] == (
        f"Contoso ({contoso.pk}): row 3 is not the one that was there on {AT}.\n"
    )


@pytest.mark.django_db(transaction=True)
def test_an_anchor_waits_for_another_process_that_appends(contoso, path):
    happened(contoso)
    append(path)
    with path.open("rb") as other, ThreadPoolExecutor(1) as process:
        fcntl.flock(other, fcntl.LOCK_EX)
        appending = process.submit(append_elsewhere, path)
        with pytest.raises(TimeoutError):
            appending.result(timeout=0.5)
        fcntl.flock(other, fcntl.LOCK_UN)
        assert appending.result(timeout=30) == 2


def append_elsewhere(path):
    try:
        return append(path, hours=1)
    finally:
        connection.close()


def changed(path):
    path.write_text(path.read_text("utf-8").replace('"number": 2', '"number": 2, "x": 1'), "utf-8")


def left_out(path):
    path.write_text("\n".join([lines(path)[0], lines(path)[2]]), "utf-8")


def head_changed(path):
    anchor = json.loads(lines(path)[0])
    [(name, (count, _))] = anchor["chains"].items()
    anchor["chains"][name] = [count, "0" * 64]
    path.write_text(json.dumps(anchor), "utf-8")


@pytest.mark.parametrize(("attack", "number"), [(changed, 2), (left_out, 2), (head_changed, 1)])
def test_a_file_of_anchors_that_was_changed_is_refused(attack, number, contoso, path):
    happened(contoso)
    for hours in range(3):
        append(path, hours=hours)
    attack(path)
    sentence = f"Anchor {number} was changed or left out, or signed with another LOG_KEY."
    assert verified(path) == (f"{path} is not whole: {sentence}", "")
    with pytest.raises(Refused, match=f"^{sentence}$"):
        append(path)


def test_a_line_that_was_not_written_to_its_end_is_passed_over(contoso, path):
    happened(contoso)
    append(path)
    path.write_bytes(path.read_bytes() + b'{"number": 2, "at"')
    assert append(path, hours=1) == 2
    assert (verified(path)[1], len(lines(path))) == ("", 3)


def test_a_file_that_is_missing_or_empty_is_said(path, tmp_path):
    assert verified(path)[0] == f"{path} cannot be read: No such file or directory."
    (tmp_path / "empty").touch()
    assert verified(tmp_path / "empty")[0] == (
        f"{tmp_path / 'empty'} holds no anchor; the worker writes one each hour."
    )


@pytest.mark.django_db(transaction=True)
def test_the_worker_appends_an_anchor_and_says_so(contoso, path, settings, caplog):
    happened(contoso)
    settings.LOG_ANCHORS_FILE = path
    caplog.set_level("INFO", "portal")
    work("console://")
    anchor = json.loads(path.read_text("utf-8"))
    said = f"Anchor 1 of the log, with 1 chains changed: {anchor['signature']}"
    assert [record.message for record in caplog.records if "Anchor" in record.message] == [said]
    assert anchor["chains"][str(contoso.pk)] == [1, LogChain.objects.get().head]
