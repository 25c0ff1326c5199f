"""Who is admitted to the API, how often, and in which words all others are refused."""

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from licenses.api.description import PROBLEMS, document, operation_of
from licenses.api.routes import operations
from portal.config import database_secrets
from subscriptions.service_tokens.authentication import TokenProblem
from subscriptions.service_tokens.models import Scope
from tests.support.api import BASE, Caller, assert_fits, code_of, of
from tests.support.factories import make_license, make_subscription
from tests.support.repository import ROOT


@pytest.fixture
def caller(contoso):
    return Caller(contoso)


def test_every_refusal_is_a_problem_with_an_address_that_explains_it(caller, contoso, client):
    yesterday = timezone.now() - timedelta(days=1)
    long_ago = yesterday - timedelta(days=1)
    expired = Caller(contoso, created_at=long_ago, expires_at=yesterday)
    revoked = Caller(contoso, revoked_at=yesterday)
    elsewhere = Caller(contoso, networks=["192.0.2.0/24"])
    narrow = Caller(contoso, Scope.LOG_READ)
    generate = of(make_subscription(tenant=contoso), "/generate")
    answers = {
        (401, "token_missing"): client.get(f"{BASE}/token"),
        (401, "invalid_token"): client.get(
            f"{BASE}/token", headers={"Authorization": "Bearer eyJ.eyJ.x"}
        ),
        (401, "token_expired"): expired.get("/token"),
        (401, "token_revoked"): revoked.get("/token"),
        (403, "network_not_allowed"): elsewhere.get("/token"),
        (403, "insufficient_scope"): narrow.get("/subscriptions"),
        (404, "not_found"): caller.get("/nothing"),
        (405, "invalid_request"): caller.post("/token"),
        (415, "unsupported_media_type"): caller.client.post(f"{BASE}{generate}", {"usage": "org"}),
        (400, "invalid_request"): caller.client.post(
            f"{BASE}{generate}", "[", content_type="application/json"
        ),
        (422, "invalid_body"): caller.post(generate, {}),
    }
    twice = '{"usage": "org", "usage": "per"}'
    utf_16 = "application/json; charset=utf-16"
    assert [
        code_of(caller.client.post(f"{BASE}{generate}", body, content_type=kind))
        for body, kind in [(twice, "application/json"), (b"{}", utf_16)]
    ] == [(400, "invalid_request"), (415, "unsupported_media_type")]
    assert {expected: code_of(answer) for expected, answer in answers.items()} == {
        expected: expected for expected in answers
    }
    for (status, code), answer in answers.items():
        told = json.loads(answer.content)
        assert told["type"] == f"http://localhost:8000/api/v1/docs/#{code}"
        assert (told["status"], told["request_id"]) == (status, answer["X-Request-ID"])
        assert answer["Cache-Control"] == "no-store"
    assert answers[401, "token_expired"]["WWW-Authenticate"] == (
        'Bearer realm="API", error="invalid_token"'
    )
    assert answers[403, "insufficient_scope"]["WWW-Authenticate"] == (
        'Bearer realm="API", error="insufficient_scope", scope="subscriptions:read"'
    )
    assert answers[405, "invalid_request"]["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "query",
    [
        "stat=active",
        "state=open",
        "limit=0",
        "limit=ten",
        "limit=9e9",
        "after=x",
        "limit=1&limit=2",
    ],
)
def test_a_wrong_parameter_is_refused_and_never_left_out(query, caller):
    answer = caller.get(f"/subscriptions?{query}")
    assert code_of(answer) == (400, "invalid_request")
    assert query.partition("=")[0] in answer.json()["detail"]


def test_an_address_with_more_parameters_than_are_read_is_refused(caller):
    answer = caller.get("/token?" + "&".join(f"a{number}=1" for number in range(1200)))
    assert code_of(answer) == (400, "invalid_request")


@pytest.mark.usefixtures("signing_key")
@pytest.mark.parametrize("route", operations, ids=lambda route: route.name)
def test_each_operation_needs_its_own_scope(route: URLPattern, contoso):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    described = operation_of(route)
    others = [scope for scope in Scope if scope != described.scope]
    names = {"subscription_id": subscription.pk, "slot": "primary"}
    address = "/" + str(route.pattern).replace("<identifier:", "{").replace("<slot:", "{").replace(
        ">", "}"
    ).format(**names)
    send = {"GET": Client.get, "POST": Client.post}[described.method]

    def status(*scopes: Scope) -> int:
        answer = send(Caller(contoso, *scopes).client, BASE + address)
        return answer.status_code

    if described.scope is None:
        assert status(Scope.LOG_READ) == 200
    else:
        assert status(*others) == 403
        assert status(described.scope) != 403


def test_every_code_of_a_refusal_stands_on_the_page(client):
    sources = [
        *(ROOT / "licenses" / "api").glob("*.py"),
        *(ROOT / "portal" / "programs").glob("*.py"),
        ROOT / "subscriptions" / "service_tokens" / "leaked.py",
    ]
    raised = re.findall(r'ProgramError\(\s*"(\w+)"', "".join(s.read_text() for s in sources))
    ended = [f"token_{problem}" for problem in ("expired", "rotated", "revoked")]
    assert sorted({*raised, *ended, TokenProblem.NETWORK_NOT_ALLOWED, "invalid_token"}) == sorted(
        PROBLEMS
    )
    page = client.get("/api/v1/docs/").content.decode()
    assert [code for code in PROBLEMS if f'<div id="{code}">' not in page] == []


def test_a_token_is_told_how_its_limit_stands_and_has_one_of_its_own(
    caller, contoso, settings, monkeypatch
):
    settings.API_REQUESTS_PER_MINUTE = 2
    monkeypatch.setattr("portal.programs.limits.time.time", lambda: 6_030.0)  # half of a minute
    first, second, third = (caller.get("/token") for _ in range(3))
    assert first["RateLimit-Policy"] == '"token";q=2;w=60'
    assert [first["RateLimit"], second["RateLimit"]] == ['"token";r=1;t=31', '"token";r=0;t=31']
    assert code_of(third) == (429, "too_many_requests")
    assert (third["Retry-After"], third["RateLimit"]) == ("31", '"token";r=0;t=31')
    assert code_of(caller.get("/subscriptions?x=1")) == (429, "too_many_requests")
    other = Caller(contoso)
    assert other.get("/token").status_code == 200
    assert code_of(other.get("/subscriptions?x=1"))[0] == 400


def test_a_node_that_must_not_write_says_so(caller, contoso, monkeypatch, signing_key):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)

    def refuse() -> None:
        raise database_secrets.SecretsDoNotFit

    monkeypatch.setattr(database_secrets, "require", refuse)
    answer = caller.post(of(subscription, "/keys/primary/check"))
    assert code_of(answer) == (503, "server_error")
    assert answer["Retry-After"] == "5"


def test_no_answer_has_a_cookie_and_none_needs_one(caller):
    answer = caller.get("/subscriptions")
    assert answer.cookies == {}
    assert "Cookie" not in answer.headers.get("Vary", "")


@pytest.mark.parametrize(
    "wrong", [{"status": "409"}, {"code": "no"}, {"more": 1}, {"errors": [{"member": "a"}]}]
)
def test_an_answer_that_is_not_described_is_found(wrong, caller):
    problem = caller.get("/subscriptions?limit=0").json()
    schema = document()["components"]["schemas"]["Problem"]
    assert_fits(problem, schema, "problem")
    with pytest.raises(AssertionError):
        assert_fits(problem | wrong, schema, "problem")
