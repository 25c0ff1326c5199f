"""What a restored database lacks, told from the anchors of its log."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from licenses.store import loss
from portal.activity import anchors
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import VENDOR, LogEntry
from portal.core.actors import SYSTEM
from tests.support.stores import empty_place, said

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def happened(tenant_id, rows=1):
    for _ in range(rows):
        with transaction.atomic():
            record(actor=SYSTEM, action=Action.RECORD_CHANGED, tenant_id=tenant_id, details={})


def test_what_was_done_after_the_backup_is_told(backup, subscription, fabrikam, tmp_path):
    file, contoso = tmp_path / "anchors.jsonl", subscription.tenant
    last = LogEntry.objects.get(tenant_id=contoso.pk).at.isoformat(timespec="seconds")
    anchors.append(path=file, now=NOON)
    assert said("verify_store", "--anchors", str(file))[0].splitlines()[1:] == [
        "The store is whole.",
        "Nothing is missing that was there at the last of 1 anchor, 2026-11-28T12:00:00+00:00.",
    ]
    happened(contoso.pk, 3)
    happened(VENDOR)
    anchors.append(path=file, now=NOON + timedelta(hours=1))
    happened(contoso.pk)  # which no anchor tells of
    seen = "2026-11-28T13:00:00+00:00"
    with empty_place(tmp_path):
        said("restore", str(backup))
        _, err, sentence = said("verify_store", "--anchors", str(file))
        assert err.splitlines() == [
            (
                "Log of the vendor: row 1 is missing. There is none here, they were there on "
                f"{seen}. {loss.SIGNING_KEYS}"
            ),
            (
                f"Log of Contoso ({contoso.pk}): rows 2 to 4 are missing. The last one here is of "
                f"{last}, they were there on {seen}. {loss.LICENSE_KEYS}"
            ),
            loss.MEANING,
        ]
        assert sentence == "The store is not whole: findings: 2."
        happened(contoso.pk, 4)
        _, err, _ = said("verify_store", "--anchors", str(file))
        assert f"Log of Contoso ({contoso.pk}): row 4 is not the one that was there on {seen}." in (
            err.splitlines()
        )


@pytest.mark.sqlite
def test_a_backup_is_verified_where_it_lies(backup, tmp_path):
    file = tmp_path / "anchors.jsonl"
    happened(VENDOR)
    anchors.append(path=file, now=timezone.now())
    before = {path: path.read_bytes() for path in backup.iterdir()}
    out, err, sentence = said("verify_store", "--backup", str(backup))
    assert (err, sentence, out.splitlines()[-1]) == ("", "", "The store is whole.")
    assert (
        "row 1 is missing"
        in said("verify_store", "--backup", str(backup), "--anchors", str(file))[1]
    )
    assert {path: path.read_bytes() for path in backup.iterdir()} == before


@pytest.mark.postgres
def test_a_dump_is_verified_after_it_was_restored(backup):
    assert said("verify_store", "--backup", str(backup))[2] == (
        f"The files of {backup} are those of its manifest. To verify what is in them, restore it "
        "into an empty database, and run verify_store there."
    )
