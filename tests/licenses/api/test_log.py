"""The log as the API tells it: to look back, and to keep it whole elsewhere."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from portal.activity import chain
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.prune import prune
from portal.core.actors import SYSTEM
from tests.support.api import Caller, code_of
from tests.support.database import as_owner
from tests.support.factories import make_signing_key, make_subscription, make_tenant


@pytest.fixture
def caller(contoso):
    return Caller(contoso)


@transaction.atomic
def happen(tenant, *actions, subscription=None, now=None):
    for action in actions:
        record(actor=SYSTEM, action=action, tenant_id=tenant.pk, subscription=subscription, now=now)


def rows_of(answer):
    assert answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.content.decode().splitlines()]


def followed(caller, address):
    """Return all rows that a reader gets who follows Link until nothing newer is there."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = caller.get(address)
        rows += rows_of(answer)
        if "Link" not in answer:
            return rows, f"/log.ndjson?after={rows[-1]['seq']}"
        address = answer["Link"].partition(">")[0].removeprefix("<http://localhost:8000/api/v1")


def test_pages_lead_back_and_can_be_filtered(caller, contoso):
    subscription = make_subscription(tenant=contoso)
    happen(contoso, Action.TENANT_CREATED, Action.MEMBER_JOINED, Action.MEMBER_LEFT)
    happen(contoso, Action.SUBSCRIPTION_RENAMED, subscription=subscription)
    first = caller.get("/log?limit=3")
    assert [row["seq"] for row in first.json()["entries"]] == [4, 3, 2]
    older = first["Link"].partition(">")[0].removeprefix("<http://localhost:8000/api/v1")
    assert [row["what"] for row in caller.get(older).json()["entries"]] == ["Tenant created"]
    foreign = Caller(make_tenant(name="Fabrikam")).get(older)
    assert code_of(foreign) == (400, "invalid_request")
    other_list = caller.get(older.replace("/log?", "/subscriptions?").replace("limit=3", "limit=2"))
    assert code_of(other_list) == (400, "invalid_request")
    assert caller.get(older.replace("limit=3", "limit=1")).status_code == 200
    other_rows = caller.get(f"{older}&action=tenant.created")
    assert code_of(other_rows) == (400, "invalid_request")
    assert other_rows.json()["detail"].endswith("and leave the filters as they were.")
    for query in ("action=subscription.renamed", f"subscription={subscription.pk}"):
        [row] = caller.get(f"/log?{query}").json()["entries"]
        assert row["seq"] == 4


def test_a_token_for_chosen_subscriptions_reads_about_them_alone(contoso):
    mine, other = make_subscription(tenant=contoso), make_subscription(tenant=contoso)
    for subscription in (mine, other):
        happen(contoso, Action.SUBSCRIPTION_RENAMED, subscription=subscription)
    happen(contoso, Action.MEMBER_JOINED)
    narrow = Caller(contoso, only=[mine])
    assert [row["seq"] for row in narrow.get("/log").json()["entries"]] == [1]
    assert code_of(narrow.get("/log.ndjson")) == (403, "insufficient_scope")
    assert code_of(narrow.get("/log/anchor")) == (403, "insufficient_scope")


def test_a_reader_of_rows_by_number_misses_none_and_sees_the_chain(caller, contoso, fabrikam):
    happen(contoso, *[Action.MEMBER_JOINED] * 5)
    happen(fabrikam, Action.MEMBER_JOINED)
    rows, address = followed(caller, "/log.ndjson?limit=2")
    happen(contoso, Action.MEMBER_LEFT)
    newer, _ = followed(caller, address)
    rows += newer
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["previous"] for row in rows] == ["", *(row["hash"] for row in rows[:-1])]


def test_whoever_has_the_key_of_the_chain_computes_the_hashes_from_what_was_told(caller, contoso):
    """So the vendor can judge a copy that a customer kept, column by column."""
    happen(contoso, Action.MEMBER_JOINED, now=datetime(2026, 3, 1, 12, 0, 0, 123_456, UTC))
    [row] = rows_of(caller.get("/log.ndjson"))
    covered = {name: row[name] for name in chain.HASHED[row["hash_version"]]}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert chain.signature(text) == row["hash"]


def test_a_reader_whom_retention_has_overtaken_is_told(caller, contoso):
    old = timezone.now() - timedelta(days=100)
    happen(contoso, *[Action.MEMBER_JOINED] * 3, now=old)
    happen(contoso, Action.MEMBER_LEFT)
    kept = rows_of(caller.get("/log.ndjson?after=2"))[0]["hash"]
    with as_owner():
        prune(tenant_id=contoso.pk, older_than=timedelta(days=10), actor=SYSTEM)
    overtaken = caller.get("/log.ndjson?after=1")
    assert code_of(overtaken) == (410, "rows_removed")
    assert (overtaken.json()["kept_from"], overtaken.json()["kept_previous"]) == (4, kept)
    rows = rows_of(caller.get("/log.ndjson"))
    assert [row["seq"] for row in rows] == [4, 5]
    assert rows == rows_of(caller.get("/log.ndjson?after=3"))


def test_a_log_that_is_shorter_than_it_was_is_noticed_by_its_reader(caller, contoso):
    happen(contoso, Action.MEMBER_JOINED)
    answer = caller.get("/log.ndjson?after=2")
    assert code_of(answer) == (409, "log_shorter")
    assert answer.json()["count"] == 1


def verified(told, client):
    """Return type and claims of a JWS, verified with the published keys."""
    head = jwt.get_unverified_header(told)
    published = client.get("/.well-known/jwks.json").json()
    key = jwt.PyJWKSet.from_dict(published)[head["kid"]]
    return head["typ"], jwt.decode(told, key, algorithms=["RS256"])


def test_lines_and_anchor_are_proved_with_the_published_keys_alone(caller, contoso, client):
    happen(contoso, Action.MEMBER_JOINED, Action.MEMBER_LEFT, Action.MEMBER_JOINED)
    assert "Log-Proof" not in caller.get("/log.ndjson")  # no key signs
    make_signing_key()
    answer = caller.get("/log.ndjson?after=1&limit=1")
    [row] = rows_of(answer)
    kind, claims = verified(answer["Log-Proof"], client)
    assert (kind, claims["sub"], claims["first"]) == ("log-lines+jwt", str(contoso.pk), 2)
    assert (claims["seq"], claims["hash"]) == (2, row["hash"])
    assert claims["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert "Log-Proof" not in caller.get("/log.ndjson?after=3")
    kind, claims = verified(caller.get("/log/anchor").json()["jws"], client)
    newest = rows_of(caller.get("/log.ndjson"))[-1]
    assert (kind, claims["sub"]) == ("log-anchor+jwt", str(contoso.pk))
    assert (claims["seq"], claims["hash"]) == (3, newest["hash"])


def test_an_anchor_that_somebody_kept_reveals_another_log(caller, contoso, tmp_path):
    make_signing_key()
    happen(contoso, Action.MEMBER_JOINED)
    kept = tmp_path / "anchor.json"
    with transaction.atomic():
        happen(contoso, Action.MEMBER_LEFT)
        kept.write_bytes(caller.get("/log/anchor").content + b"\n")
        call_command("verify_log", anchors=kept)
        transaction.set_rollback(True)  # as if the database had been put back
    happen(contoso, Action.MEMBER_JOINED)  # and had gone on otherwise
    with pytest.raises(CommandError):
        call_command("verify_log", anchors=kept)
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps(told | {"at": "2020-01-01T00:00:00+00:00"}))
    with pytest.raises(CommandError, match="was changed or left out"):
        call_command("verify_log", anchors=kept)
