"""What operations of the API do: the same as the pages, by the same flows."""

import io
import json
import zipfile
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from licenses.models import KeyState, License, Slot
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from subscriptions.models import State
from subscriptions.service_tokens.models import Scope
from tests.support.api import BASE, Caller, code_of, of
from tests.support.factories import make_key, make_license, make_subscription

pytestmark = pytest.mark.usefixtures("signing_key")


@pytest.fixture
def caller(contoso):
    return Caller(contoso)


@pytest.fixture
def subscription(contoso):
    subscription = make_subscription(tenant=contoso, name="Field tools")
    make_license(subscription=subscription)
    return subscription


def log(tenant):
    return list(LogEntry.objects.for_tenant(tenant.pk).values_list("action", "actor_name"))


def test_a_token_reads_what_it_may(caller, contoso):
    told = caller.get("/token").json()
    assert (told["name"], told["tenant_name"]) == ("Pipeline", "Contoso")
    assert told["scopes"] == [*Scope]


def test_subscriptions_come_in_pages_the_newest_first(caller, contoso, fabrikam):
    now = timezone.now()
    for number in range(5):
        created = now - timedelta(minutes=number)
        make_subscription(tenant=contoso, name=f"S{number}", created_at=created)
    make_subscription(tenant=fabrikam)
    names, address = [], "/subscriptions?limit=2&state=active&q=s"
    while address:
        answer = caller.get(address)
        names.append([each["name"] for each in answer.json()["subscriptions"]])
        link = answer.headers.get("Link", "")
        address = link.partition(">")[0].removeprefix("<http://localhost:8000/api/v1")
    assert names == [["S0", "S1"], ["S2", "S3"], ["S4"]]


def test_a_page_costs_as_many_statements_with_one_row_as_with_many(
    caller, subscription, contoso, django_assert_num_queries
):
    caller.get("/token")  # notes the use
    with django_assert_num_queries(3):  # token, subscriptions, keys
        caller.get("/subscriptions")
    for _ in range(3):
        make_license(subscription=make_subscription(tenant=contoso))
    with django_assert_num_queries(3):
        assert len(caller.get("/subscriptions").json()["subscriptions"]) == 4


def test_both_slots_are_read_with_the_old_key_in_its_overlap(caller, subscription):
    license = License.objects.get()
    until = timezone.now() + timedelta(days=3)
    old = make_key(license=license, state=KeyState.SUPERSEDED, accepted_until=until)
    told = caller.get(of(subscription, "/keys")).json()
    current = license.keys.current().get(slot=Slot.PRIMARY)
    assert told["primary"]["jti"] == str(current.jti)
    assert told["primary"]["state"] == "valid"
    assert told["primary"]["old"]["jti"] == str(old.jti)
    assert told["secondary"]["old"] is None
    assert "token" not in json.dumps(told)


def test_what_another_tenant_has_and_what_nobody_has_look_the_same(caller, fabrikam, contoso):
    foreign = make_subscription(tenant=fabrikam)
    make_license(subscription=foreign)
    mine, chosen = make_subscription(tenant=contoso), make_subscription(tenant=contoso)
    narrow = Caller(contoso, only=[chosen])
    missing = caller.get("/subscriptions/11111111-1111-4111-8111-111111111111/keys").json()
    assert caller.get(of(foreign, "/keys")).json() | {"request_id": ""} == missing | {
        "request_id": ""
    }
    assert code_of(narrow.get(of(mine))) == (404, "not_found")
    assert code_of(narrow.post(of(mine, "/keys/primary/renew"))) == (404, "not_found")
    assert narrow.get(of(chosen)).status_code == 200
    assert [s["name"] for s in narrow.get("/subscriptions").json()["subscriptions"]] == [
        chosen.name
    ]


def test_generate_is_the_flow_of_the_page_in_the_name_of_the_token(caller, contoso):
    subscription = make_subscription(tenant=contoso)
    body = {"usage": "org", "holder_name": "Contoso"}
    answer = caller.post(of(subscription, "/generate"), body)
    assert answer.status_code == 201
    assert answer["Location"] == f"http://localhost:8000/api/v1{of(subscription, '/keys')}"
    assert caller.get(of(subscription, "/keys")).json() == answer.json()
    again = caller.post(of(subscription, "/generate"), body)
    assert code_of(again) == (409, "refused")
    assert again.json()["detail"].startswith("Pipeline generated the license keys")
    assert log(contoso) == [(Action.KEYS_GENERATED, "Pipeline")]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"usage": "org"}, ["holder_name"]),
        ({"usage": "all", "holder_name": 1}, ["usage", "holder_name"]),
        ({"usage": "org", "holder_name": "Contoso", "days": 4000}, ["days"]),
        ({"usage": "org", "holder_name": "Con\0toso"}, ["holder_name"]),
        ({"usage": "org", "holder_name": "Con\ud800toso"}, ["holder_name"]),
        ({"usage": "org", "holder_name": "Con{toso}"}, ["holder_name"]),
        ({"usage": "edu", "holder_name": "Contoso"}, ["usage"]),
    ],
)
def test_a_wrong_member_is_named(body, errors, caller, contoso):
    answer = caller.post(of(make_subscription(tenant=contoso), "/generate"), body)
    assert code_of(answer) == (422, "invalid_body")
    assert [each["member"] for each in answer.json()["errors"]] == errors
    assert License.objects.count() == 0


def test_a_license_file_is_downloaded_once_and_known_by_its_entity_tag(
    caller, subscription, contoso
):
    path = of(subscription, "/keys/primary/file")
    answer = caller.get(path)
    assert answer.json()["key"] == License.objects.get().keys.get(slot=Slot.PRIMARY).token
    assert answer["Content-Disposition"] == 'attachment; filename="Field-tools-primary.json"'
    assert caller.get(path, If_None_Match=answer["ETag"]).status_code == 304
    for known in (f"W/{answer['ETag']}", "*", f'"other", {answer["ETag"]}'):
        assert caller.get(path, If_None_Match=known).status_code == 304
    assert code_of(caller.get(path, If_Match='"other"')) == (412, "precondition_failed")
    assert log(contoso) == [(Action.KEY_DOWNLOADED, "Pipeline")]
    assert caller.get(path, If_None_Match='"other"').content == answer.content
    assert len(log(contoso)) == 2


def test_both_files_come_as_one_archive(caller, subscription):
    answer = caller.get(of(subscription, "/files"))
    assert sorted(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == [
        "Field-tools-primary.json",
        "Field-tools-secondary.json",
        "README.txt",
    ]
    bundle = caller.get(of(subscription, "/bundle"))
    assert (bundle["Content-Type"], "ETag" in bundle) == ("application/zip", False)
    before = LogEntry.objects.count()
    for path in ("/files", "/bundle", "/keys/primary/file"):
        assert caller.client.head(f"{BASE}{of(subscription, path)}").status_code == 200
    assert LogEntry.objects.count() == before


def test_a_check_is_the_one_that_terminals_get(caller, subscription, contoso):
    stored = caller.post(of(subscription, "/keys/secondary/check")).json()
    assert (stored["result"], stored["passes"]) == ("valid", True)
    file = caller.get(of(subscription, "/keys/secondary/file")).content.decode()
    assert caller.post("/check", {"presented": file}).json()["result"] == "valid"
    assert caller.post("/check", {"presented": "nonsense"}).json()["result"] == "malformed"
    for text in ("{", '{"key":1}'):
        assert code_of(caller.post("/check", {"presented": text})) == (422, "invalid_body")
    narrow = Caller(contoso, only=[make_subscription(tenant=contoso)])
    for text in (file, json.loads(file)["key"]):
        beyond = narrow.post("/check", {"presented": text}).json()
        assert (beyond["result"], beyond["passes"]) == ("subject_mismatch", False)
    assert [action for action, _ in log(contoso)].count(Action.KEY_CHECKED) == 2


def test_a_reset_replaces_the_key_that_was_seen_alone(caller, subscription, contoso):
    path = of(subscription, "/keys/primary")
    body = {"overlap": "week"}
    assert code_of(caller.post(f"{path}/reset", body)) == (428, "precondition_required")
    seen = caller.get(path)["ETag"]
    for strange in ("*", f"W/{seen}", seen.strip('"'), '"other"'):
        refused = caller.post(f"{path}/reset", body, If_Match=strange)
        assert code_of(refused) == (412, "precondition_failed")
        assert refused.json()["detail"].startswith("If-Match is not the ETag of a slot.")
    caller.get(f"{path}/file")  # changes the state of the slot, not its key
    answer = caller.post(f"{path}/reset", body, If_Match=seen)
    assert answer.status_code == 200
    assert answer["ETag"] == caller.get(path)["ETag"] != seen
    assert answer.json()["old"]["jti"] in seen
    late = caller.post(f"{path}/reset", body, If_Match=seen)
    assert code_of(late) == (412, "precondition_failed")
    assert late.json()["detail"].startswith(
        "The service token “Pipeline” reset the primary key on "
    )
    assert code_of(caller.post(f"{path}/end-overlap")) == (428, "precondition_required")
    assert code_of(caller.post(f"{path}/end-overlap", If_Match=seen)) == (
        412,
        "precondition_failed",
    )
    ended = caller.post(f"{path}/end-overlap", If_Match=answer["ETag"])
    assert ended.json()["jti"] in seen
    again = caller.post(f"{path}/end-overlap", If_Match=answer["ETag"])
    assert code_of(again) == (409, "refused")
    assert [action for action, _ in log(contoso)] == [
        Action.OVERLAP_ENDED,
        Action.KEY_RESET,
        Action.KEY_DOWNLOADED,
    ]


def test_a_renewal_that_comes_too_early_or_again_tells_what_is_there(caller, subscription):
    path = of(subscription, "/keys/primary/renew")
    early = caller.post(path).json()
    assert early["renewed"] is False
    assert early["reason"].startswith("This key is renewed from ")
    with time_machine.travel(timezone.now() + timedelta(days=25), tick=False):
        caller.token.refresh_from_db()
        first, second = caller.post(path).json(), caller.post(path).json()
    assert (first["renewed"], second["renewed"]) == (True, False)
    assert first["key"]["jti"] == second["key"]["jti"] != early["key"]["jti"]
    assert first["key"]["old"]["jti"] == early["key"]["jti"]


def test_a_key_that_ends_with_its_subscription_is_never_renewable(caller, subscription):
    subscription.ends_at = License.objects.get().keys.get(slot=Slot.PRIMARY).expires_at
    subscription.save()
    told = caller.post(of(subscription, "/keys/primary/renew")).json()
    assert (told["renewed"], told["key"]["renewable_from"]) == (False, None)
    assert told["reason"] == "A new key would expire no later: the subscription ends then."


def test_what_pages_refuse_is_refused_in_the_same_words(caller, contoso):
    subscription = make_subscription(tenant=contoso, state=State.SUSPENDED)
    make_license(subscription=subscription)
    seen = caller.get(of(subscription, "/keys/primary"))
    assert seen.json()["state"] == "not_accepted"
    answers = [
        caller.get(of(subscription, "/keys/primary/file")),
        caller.get(of(subscription, "/files")),
        caller.get(of(subscription, "/bundle")),
        caller.post(
            of(subscription, "/keys/primary/reset"), {"overlap": "now"}, If_Match=seen["ETag"]
        ),
        caller.post(of(subscription, "/keys/primary/renew")),
        caller.post(of(subscription, "/generate"), {"usage": "org", "holder_name": "Contoso"}),
    ]
    assert {code_of(answer) for answer in answers} == {(409, "refused")}
    assert all("This subscription is suspended." in answer.json()["detail"] for answer in answers)


def test_deleted_keys_are_gone_and_refused_as_deleted(caller, subscription):
    License.objects.update(deleted_at=timezone.now(), deleted_by_name="Ada")
    License.objects.get().keys.update(state=KeyState.DELETED, deleted_at=timezone.now(), token=None)
    assert code_of(caller.get(of(subscription, "/keys"))) == (404, "not_found")
    assert code_of(caller.get(of(subscription, "/keys/primary"))) == (404, "not_found")
    renewed = caller.post(of(subscription, "/keys/primary/renew"))
    assert code_of(renewed) == (409, "refused")
    assert "Ada deleted these license keys" in renewed.json()["detail"]


def test_an_identifier_in_upper_case_is_the_same(caller, subscription):
    upper = f"/subscriptions/{str(subscription.pk).upper()}"
    assert caller.get(upper).json() == caller.get(of(subscription)).json()


def test_an_entity_tag_saves_what_has_not_changed(caller, subscription):
    keys = [of(subscription, rest) for rest in ("", "/keys", "/keys/primary")]
    for path in ("/token", "/log", "/subscriptions", *keys):
        seen = caller.get(path)
        assert seen["Cache-Control"] == "private, no-cache"
        assert caller.get(path, If_None_Match=seen["ETag"]).status_code == 304
    subscription.name = "Other tools"
    subscription.save()
    old = caller.get(of(subscription), If_None_Match='"0"')
    assert old.json()["name"] == "Other tools"
