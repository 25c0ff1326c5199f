"""The online check as every generation of terminals asks for it."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from licenses import keys, tokens
from licenses.checking import counts
from licenses.models import CheckCount, KeyState, License, LicenseKey, Slot
from portal.programs.middleware import MAX_BODY_BYTES
from subscriptions.models import Plan, State
from tests.support.factories import (
    CUSTOM_CLAIMS,
    TYPED_CLAIMS,
    make_custom_plan,
    make_key,
    make_license,
    make_subscription,
)
from tests.support.malformed import BODIES, corpus
from tests.support.terminals import FAILURE, GENERATIONS, body_for

pytestmark = pytest.mark.django_db

URL = "/public/checklicense"


@pytest.fixture
def license(signing_key) -> License:
    return make_license(holder_name="Zoë & Söhne", signing_key=signing_key)


def key_of(license: License, slot: Slot = Slot.PRIMARY) -> LicenseKey:
    return license.keys.get(slot=slot)


def ask(client: Client, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(URL, data, content_type="application/json; charset=utf-8", headers=headers)


def refused(answer: Any) -> tuple[int, str, str | None]:
    """Return status, error and result of a refusal, having seen that its shape is whole."""
    told = answer.json()
    helped = {"help"} if told["result"] else set()
    assert set(told) == FAILURE | helped
    assert told["error"] == told["error_code"]
    assert answer["Cache-Control"] == "no-store"
    assert not set(told["error_description"]) & set("{}")
    assert told["request_id"] == answer["X-Request-ID"]
    return answer.status_code, told["error"], told["result"]


@pytest.mark.parametrize("generation", GENERATIONS, ids=lambda g: g["generation"])
def test_every_generation_starts_on_each_of_its_plans(generation, client, signing_key):
    """A terminal reads the plan from `acr_values`, and knows those of its own generation."""
    started = []
    for urn in generation["plans"]:
        plan = Plan.objects.filter(urn=urn).first()
        if plan is None:
            assert urn.endswith(":custom")
            plan = make_custom_plan(urn=urn, code=f"custom-{generation['generation']}")
        license = make_license(subscription=make_subscription(plan=plan), signing_key=signing_key)
        answer = ask(client, body_for(key_of(license), generation["generation"]))
        assert answer.status_code == 200, answer.content
        started.append(answer.json()["acr_values"].split(" ")[0])
    assert started == generation["plans"]


@pytest.mark.parametrize("generation", [g["generation"] for g in GENERATIONS])
def test_the_answer_has_every_member_in_its_type(generation, client, license):
    key = key_of(license)
    body = body_for(key, generation)
    answer = ask(client, body)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer["Content-Type"] == "application/json"
    told = answer.json()
    moments = {n: told.pop(n) for n in ("expiry", "issued_at", "not_before", "checked_at")}
    assert told == {
        "acr_values": (f"{license.plan_urn} urn:oneimlx:lic:usage:org urn:oneimlx:lic:pvdr:pi"),
        "audience": body["audience"] or "Zoë & Söhne",
        "authorized_application_ids": str(license.authorized_application_id),
        "authorized_party": "urn:oneimlx:cli",
        "issuer": "https://api.perpetualintelligence.com",
        "jti": str(key.jti),
        "name": "Zoë & Söhne",
        "subject": str(license.subscription_id),
        "tenant_country": "USA",
        "tenant_id": str(license.tenant_id),
        "result": "valid",
    }
    assert datetime.fromisoformat(moments["expiry"]) == key.expires_at
    assert all(datetime.fromisoformat(text).tzinfo for text in moments.values())
    assert moments["issued_at"] == moments["not_before"]


def test_order_nulls_missing_members_and_escapes_make_no_difference(client, license):
    key = key_of(license)
    body = body_for(key, audience="Zoë & Söhne")
    reverse = dict(reversed(body.items()))
    without_null = {name: value for name, value in body.items() if value is not None}
    escaped = json.dumps(body).replace("&", "\\u0026").replace("+", "\\u002b")
    assert "\\u00eb" in escaped
    for sent in [body, reverse, without_null, escaped, json.dumps(body, ensure_ascii=False)]:
        answer = ask(client, sent)
        assert (answer.status_code, answer.json()["audience"]) == (200, "Zoë & Söhne")


def test_custom_claims_travel_along(client, signing_key):
    plan = make_custom_plan()
    license = make_license(subscription=make_subscription(plan=plan), signing_key=signing_key)
    assert ask(client, body_for(key_of(license))).json()["custom"] == plan.custom_claims


def test_custom_claims_of_a_key_signed_before_are_completed(client, signing_key):
    subscription = make_subscription(plan=make_custom_plan())
    key = key_of(make_license(subscription=subscription, signing_key=signing_key))
    claims = tokens.parse(key.token).claims
    for name in CUSTOM_CLAIMS.keys() - {*TYPED_CLAIMS, "option_limit"}:
        del claims[name]
    key.token = keys.sign(signing_key, claims)
    key.token_sha256 = tokens.sha256_of(key.token)
    key.save()
    assert ask(client, body_for(key)).json()["custom"] == CUSTOM_CLAIMS


def test_other_plans_have_no_custom_member(client, license):
    assert "custom" not in ask(client, body_for(key_of(license))).json()


def test_a_superseded_key_tells_until_when(client, license):
    until = timezone.now() + timedelta(hours=1)
    key = make_key(license=license, state=KeyState.SUPERSEDED, accepted_until=until)
    told = ask(client, body_for(key)).json()
    assert (told["result"], told["accepted_until"]) == ("superseded", until.isoformat())


MISMATCHES = {
    "key_type": "key_type_mismatch",
    "subject": "subject_mismatch",
    "consumer_tenant_id": "tenant_mismatch",
    "authorized_party": "party_mismatch",
    "authorized_application_id": "application_not_authorized",
    "issuer": "issuer_mismatch",
    "broker_id": "provider_mismatch",
}


@pytest.mark.parametrize("value", ["other", None, ""], ids=["other", "null", "empty"])
@pytest.mark.parametrize(("member", "result"), MISMATCHES.items())
def test_a_request_that_disagrees_is_refused(member, result, value, client, license):
    answer = ask(client, body_for(key_of(license), **{member: value}))
    assert refused(answer) == (401, "unauthorized_access", result)


@pytest.mark.parametrize(
    ("given", "echoed"), [("app-1", "app-1"), ("{0}", ""), ("a" * 65, ""), (None, "")]
)
def test_the_application_is_echoed_only_when_harmless(given, echoed, client, license):
    answer = ask(client, body_for(key_of(license), authorized_application_id=given))
    assert answer.json()["error_description"] == (
        f"The application is not authorized. application_id={echoed}"
    )


def test_the_state_of_the_subscription_counts(client, signing_key):
    subscription = make_subscription(state=State.ACTIVE)
    license = make_license(subscription=subscription, signing_key=signing_key)
    subscription.state = State.SUSPENDED
    subscription.save()
    answer = ask(client, body_for(key_of(license)))
    assert refused(answer) == (401, "unauthorized_access", "subscription_suspended")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_such_body_is_an_invalid_request(body, client):
    assert refused(ask(client, body)) == (400, "invalid_request", None)


def test_a_malformed_key_is_an_invalid_request_with_its_result(client):
    for key in ["", "x", "\ud800.a.b", "a" * 60_000]:
        assert refused(ask(client, {"key": key})) == (400, "invalid_request", "malformed")


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_only_post_is_answered(method, client):
    answer = getattr(client, method)(URL)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert method == "head" or refused(answer) == (405, "invalid_request", None)


@pytest.mark.parametrize("kind", ["text/json", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(kind, client):
    answer = client.generic("POST", URL, b"{}", content_type=kind)
    assert refused(answer) == (415, "invalid_request", None)


@pytest.mark.parametrize("path", ["/public/", "/public/nothing", "/public/checklicense/"])
def test_an_unknown_path_is_told_in_json(path, client):
    assert refused(client.get(path)) == (404, "not_found", None)


def test_a_foreign_host_is_told_in_json(client):
    answer = ask(client, {"key": "a.b.c"}, host="evil.example")
    assert refused(answer) == (400, "invalid_request", None)


def test_http_is_led_to_https_with_method_and_body(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = ask(client, {"key": "a.b.c"})
    assert refused(answer) == (308, "invalid_request", None)
    assert answer["Location"] == f"https://testserver{URL}"


@pytest.mark.parametrize(
    ("result", "forge"), [pytest.param(r, forge, id=ascii(name)) for name, r, forge in corpus()]
)
def test_malformed_tokens_get_their_result_and_never_an_error_of_ours(
    result, forge, client, forger
):
    body = forger.request(forge(forger))
    expected = (400 if result == "malformed" else 401, result)
    if len(body["key"]) > MAX_BODY_BYTES:
        expected = (413, None)
    assert refused(ask(client, body))[::2] == expected


# What is kept


def test_checks_are_counted_by_key_hour_and_result(
    client, license, django_capture_on_commit_callbacks
):
    key = key_of(license)
    for _ in range(3):
        ask(client, body_for(key))
    ask(client, body_for(key, issuer="other"))
    rows = CheckCount.objects.order_by("result").values_list("license_key", "result", "count")
    assert list(rows) == [(key.pk, "issuer_mismatch", 1), (key.pk, "valid", 3)]
    newest = CheckCount.objects.get(result="valid")
    assert newest.tenant_id == license.tenant_id
    assert newest.hour == newest.last_at.replace(minute=0, second=0, microsecond=0)


def test_a_late_batch_never_sets_the_last_check_back(license):
    key, now = key_of(license), timezone.now().replace(minute=30, microsecond=0)
    counts.count(key, "valid", now)
    counts.count(key, "valid", now - timedelta(minutes=5))
    row = CheckCount.objects.get()
    assert (row.count, row.last_at) == (2, now)


def test_what_could_not_be_written_is_written_with_the_next_count(license):
    key, now = key_of(license), timezone.now().replace(minute=30, microsecond=0)

    def away(proceed, sql, *arguments):
        if "licenses_checkcount" in sql:
            raise OperationalError("the disk is full")
        return proceed(sql, *arguments)

    with connection.execute_wrapper(away):
        for minutes in (2, 1):
            counts.count(key, "valid", now - timedelta(minutes=minutes))
        counts.count(key, "revoked", now)
    assert not CheckCount.objects.exists()
    counts.count(key, "valid", now)
    rows = CheckCount.objects.order_by("result").values_list("result", "count", "last_at")
    assert list(rows) == [("revoked", 1, now), ("valid", 3, now)]


def test_nothing_is_kept_of_a_key_that_did_not_verify(client, license, caplog):
    token = key_of(license).token or ""
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    with caplog.at_level(logging.INFO):
        ask(client, {"key": forged})
    assert not CheckCount.objects.exists()
    [line] = [r.getMessage() for r in caplog.records if r.name == "licenses.programs"]
    assert (len(line.split()), token[:40] in caplog.text) == (5, False)


# Limits


def test_more_than_the_limit_waits_for_the_next_minute(client, license, settings):
    settings.CHECKS_PER_MINUTE = 3
    body = body_for(key_of(license))
    answers = [ask(client, body, x_forwarded_for=f"10.0.0.{n}") for n in range(8)]
    limited = [a for a in answers if a.status_code == 429]
    assert len(limited) in {2, 5}  # two when a minute began in between
    assert refused(limited[0]) == (429, "invalid_request", None)
    assert 1 <= int(limited[0]["Retry-After"]) <= 61


def test_nonsense_from_an_address_never_stops_its_good_terminals(client, license, settings):
    settings.FAILED_CHECKS_PER_MINUTE = 2
    statuses = [ask(client, {"key": "nonsense"}).status_code for _ in range(8)]
    assert statuses.count(429) >= 4
    assert ask(client, body_for(key_of(license))).status_code == 200
