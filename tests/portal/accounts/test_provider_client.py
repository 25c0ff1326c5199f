"""Identity providers that are slow, broken or malicious: all ends on the page for it."""

import threading
import time
from queue import SimpleQueue

import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.contrib.sessions.models import Session
from django.test import Client

from portal.accounts import provider_client
from portal.accounts.provider_client import (
    PARAMETERS,
    ProviderClient,
    ProviderError,
    ProvidersBusyError,
)
from portal.accounts.providers import STARTS
from tests.support.answers import shape
from tests.support.identities import (
    CALLBACK,
    LOGIN,
    PROVE,
    at_provider,
    forged_header,
    sent_back,
    signed_in_as,
)
from tests.support.joining import COMPLETE, FILLED, SIGN_UP, opened
from tests.support.oidc import (
    CLIENT_ID,
    DESCRIPTION,
    answering,
    closing,
    dripping,
    endless,
    hanging,
)

pytestmark = pytest.mark.django_db


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NESTED = answering(200, b'{"keys":' + b"[" * 300_000)
RAW = {
    "a list": [],
    "a text": "description",
    "a number": 7,
    "nothing": {},
    "no JSON": answering(200, b"<html>"),
    "half a text": answering(200, b'{"issuer": "\xff'),
    "nested": NESTED,
    "a long number": answering(200, b'{"a": ' + b"1" * 5000 + b"}"),
    "an error": answering(500, b"[]"),
    "a refusal": answering(400, b'{"error": "invalid_client"}'),
    "a redirect": answering(307, Location="/realm/elsewhere"),
    "compressed": answering(200, b"\x1f\x8b", Content_Encoding="gzip"),
    "a closed door": closing,
    "no end": endless,
    "dripped headers": dripping(b"HTTP/1.1 200 OK\r\nX-A: "),
    "a dripped body": dripping(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "silence": hanging,
}
SECONDS = dict.fromkeys(["no end", "dripped headers", "a dripped body", "silence"], 1)
"""What has no end gets a second."""


def changed(**values):
    """Return a description with other values; None takes one away."""
    return lambda right: {k: v for k, v in (right | values).items() if v is not None}


DESCRIPTIONS = RAW | {
    "no issuer": changed(issuer=None),
    "a list as issuer": changed(issuer=[]),
    "another issuer": changed(issuer="https://evil.example"),
    "no keys": changed(jwks_uri=None),
    "no token endpoint": changed(token_endpoint=None),
    "no authorization endpoint": changed(authorization_endpoint=None),
    "a list as endpoint": changed(token_endpoint=["https://evil.example"]),
    "a file": changed(jwks_uri="file:///etc/passwd"),
    "half an address": changed(token_endpoint="https://[::1"),
    "a long address": changed(authorization_endpoint="https://id.example/" + "x" * 5000),
    "half a character": changed(authorization_endpoint="https://id.example/\ud800"),
    "a port too high": changed(authorization_endpoint="https://id.example:99999/"),
    "port 0": changed(authorization_endpoint="https://id.example:0/"),
    "a port in letters": changed(authorization_endpoint="https://id.example:abc/"),
    "a leading blank": changed(authorization_endpoint=" https://id.example/authorize"),
    "a blank inside": changed(authorization_endpoint="https://id.example/a b"),
    "a line break": changed(authorization_endpoint="https://id.example/\r\nSet-Cookie: a=b"),
    "letters that are not ASCII": changed(authorization_endpoint="https://ü.example/"),
    "a fragment": changed(authorization_endpoint="https://id.example/authorize#frag"),
    "an empty fragment": changed(token_endpoint="https://id.example/token#"),
    "a user": changed(token_endpoint="https://somebody@id.example/token"),
    "parameters of ours": changed(
        authorization_endpoint="https://id.example/authorize?client_id=evil&state=known"
    ),
    "a parameter of ours without value": changed(token_endpoint="https://id.example/token?code"),
    "a number of methods": changed(token_endpoint_auth_methods_supported=5),
}


def did_not_work(answer, caplog):
    """Return whether it ended on the page for it, with one line of the log."""
    lines = [r.getMessage() for r in caplog.records if r.name == "portal.providers"]
    assert [line.partition(": ")[0] for line in lines] == ["Sign-in at company does not work"]
    return (answer.status_code, shape(answer)[2]) == (401, "Sign-in did not work")


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_whatever_a_provider_says_about_itself_ends_on_the_page_for_it(
    client, provider, settings, caplog, what
):
    settings.IDENTITY_PROVIDER_SECONDS = SECONDS.get(what, 60)
    answer = DESCRIPTIONS[what]
    is_changed = getattr(answer, "__qualname__", "").startswith("changed")
    provider.instead[DESCRIPTION] = answer(provider.describe()) if is_changed else answer
    assert did_not_work(client.post(LOGIN), caplog)
    assert provider.asked == [DESCRIPTION]
    assert not Session.objects.exists()


def test_an_endpoint_keeps_its_own_query(client, provider):
    address = "https://id.example/authorize?realm=a%20b"
    provider.instead[DESCRIPTION] = provider.describe() | {"authorization_endpoint": address}
    assert client.post(LOGIN).url.startswith(f"{address}&")


def test_all_that_is_sent_is_known(client, provider, connected):
    at_provider(client, provider)
    at_provider(client, provider, PROVE)
    assert set().union(*provider.requests) <= PARAMETERS


TOKENS = RAW | {
    "no ID token": {"access_token": "opaque"},
    "a list as ID token": {"access_token": "opaque", "id_token": []},
    "no ID token at all": {"access_token": "opaque", "id_token": "x.y.z"},
    "a nested ID token": {"id_token": forged_header(b"[" * 100_000)},
    "a list as header": {"id_token": forged_header(b"[]")},
    "a list as key identifier": {"id_token": forged_header(b'{"alg": "RS256", "kid": [1]}')},
}


@pytest.mark.parametrize("what", TOKENS)
def test_whatever_a_provider_gives_for_a_code_ends_on_the_page_for_it(
    client, provider, connected, settings, caplog, what
):
    back = sent_back(client, provider)
    settings.IDENTITY_PROVIDER_SECONDS = SECONDS.get(what, 60)
    provider.instead["/token"] = TOKENS[what]
    assert did_not_work(client.get(back), caplog)
    assert "/elsewhere" not in provider.asked
    assert signed_in_as(client) is None


KEYS = RAW | {
    "a text as keys": {"keys": "x"},
    "no keys": {"keys": []},
    "nothing as key": {"keys": [None, {}]},
    "a number as keys": {"keys": 1},
    "a key of lists": {"keys": [{"kty": "RSA", "kid": "1", "n": [], "e": {}}]},
    "a key of no algorithm": {
        "keys": [{"kty": "RSA", "kid": "1", "alg": "none", "n": "_" * 342, "e": "AQAB"}]
    },
    "a key of no kind": {"keys": [{"kid": "1"}]},
    "a key of kind number": {"keys": [{"kid": "1", "kty": 7, "alg": []}]},
    "the key twice": {"keys": [{"kid": "1"}, {"kid": "1"}]},
    "a secret": {"keys": [{"kty": "oct", "kid": "1", "k": "AAAA"}]},
}


@pytest.mark.parametrize("what", KEYS)
def test_whatever_keys_a_provider_publishes_end_on_the_page_for_it(
    client, provider, connected, settings, caplog, what
):
    provider.kid = str(len(what))  # nobody has fetched its key yet
    back = sent_back(client, provider)
    settings.IDENTITY_PROVIDER_SECONDS = SECONDS.get(what, 60)
    answer = KEYS[what]
    if isinstance(answer, dict) and isinstance(answer.get("keys"), list):
        answer = {"keys": [key and key | {"kid": provider.kid} for key in answer["keys"]]}
    provider.instead["/keys"] = answer
    assert did_not_work(client.get(back), caplog)
    assert signed_in_as(client) is None


IMPOSSIBLE = {
    "two audiences": lambda: {"aud": [CLIENT_ID, "another"]},
    "two audiences for another": lambda: {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "a number as audience": lambda: {"aud": [7, CLIENT_ID]},
    "an empty subject": lambda: {"sub": ""},
    "a number as subject": lambda: {"sub": 7},
    "a list as end": lambda: {"exp": []},
    "an endless end": lambda: {"exp": float("inf")},
    "made in an hour": lambda: {"iat": int(time.time()) + 3600},
    "a list as nonce": lambda: {"nonce": []},
    "asked in an hour": lambda: {"auth_time": int(time.time()) + 3600},
    "asked at no number": lambda: {"auth_time": float("nan")},
    "asked at a word": lambda: {"auth_time": "now"},
    "asked at a truth": lambda: {"auth_time": True},
}


@pytest.mark.parametrize("claims", IMPOSSIBLE)
def test_an_id_token_with_claims_that_cannot_be_signs_nobody_in(
    client, provider, connected, caplog, claims
):
    provider.claims = IMPOSSIBLE[claims]()
    assert did_not_work(at_provider(client, provider), caplog)
    assert signed_in_as(client) is None


@pytest.mark.parametrize(
    "claims", [{"aud": [CLIENT_ID]}, {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}], ids=str
)
def test_an_id_token_for_several_holds_when_it_names_the_portal(
    client, provider, connected, claims
):
    provider.claims = claims
    assert at_provider(client, provider).url == "/"
    assert signed_in_as(client) == connected


@pytest.mark.parametrize(
    "value",
    ["A\x00\ud800\u202e\nB", ["A"], {"a": 1}, 7, "x" * 5000],
    ids=["control characters", "list", "object", "number", "long"],
)
def test_texts_of_a_provider_are_kept_as_one_short_line_or_not_at_all(client, provider, value):
    provider.person = {"sub": "ada", "email": value, "name": value, "more": "x" * 50_000}
    assert at_provider(client, provider).url == SIGN_UP
    assert client.get(SIGN_UP).status_code == 200
    opened(client)
    assert client.post(COMPLETE, FILLED).url == "/"
    kept = SocialAccount.objects.get().extra_data["id_token"]
    text = {"x": "x" * 254, "A": "AB"}[value[0]] if isinstance(value, str) else None
    assert (kept.get("name"), sorted(kept)) == (
        text,
        ["email", "iss", "name", "sub"] if text else ["iss", "sub"],
    )


def test_the_address_does_not_write_the_request(client, provider):
    sent = {
        "auth_params": "client_id=evil&state=known&prompt=none&redirect_uri=https://evil.example",
        "scope": "admin",
        "action": "reauthenticate",
        "prompt": "none",
    }
    sent_back(client, provider, **sent)
    asked = provider.requests[-1]
    assert [asked.pop(name) == "" for name in ("state", "nonce", "code_challenge")] == [False] * 3
    assert asked == {
        "client_id": CLIENT_ID,
        "redirect_uri": "http://testserver" + CALLBACK,
        "response_type": "code",
        "scope": "openid profile email",
        "code_challenge_method": "S256",
    }


def test_an_authorization_endpoint_keeps_its_query(client, provider):
    endpoint = f"{provider.issuer}/authorize?policy=strict"
    provider.instead[DESCRIPTION] = provider.describe() | {"authorization_endpoint": endpoint}
    sent_back(client, provider)
    assert provider.requests[-1]["policy"] == "strict"


def test_a_description_and_keys_are_asked_for_once_in_ten_minutes(client, provider, connected):
    provider.asked.clear()
    with time_machine.travel(time.time(), tick=False) as clock:
        for seconds, asked in ((0, []), (599, []), (2, [DESCRIPTION, "/keys"])):
            clock.shift(seconds)
            at_provider(Client(), provider)
            assert [path for path in provider.asked if path != "/token"] == asked
    assert provider.asked.count("/token") == 3


def test_a_new_key_is_found_at_once_and_unknown_ones_are_asked_for_once_a_minute(
    client, provider, connected
):
    provider.asked.clear()
    with time_machine.travel(time.time() + 61, tick=False) as clock:
        provider.kid = "2"
        assert at_provider(client, provider).url == "/"
        assert provider.asked.count("/keys") == 1
        provider.kid = "3"
        for seconds, asked, status in ((0, 1, 401), (59, 1, 401), (2, 2, 302)):
            clock.shift(seconds)
            answer = at_provider(Client(), provider)
            assert (provider.asked.count("/keys"), answer.status_code) == (asked, status)


def test_a_provider_that_fails_is_left_alone_for_a_while(client, provider):
    provider.instead[DESCRIPTION] = closing
    with time_machine.travel(time.time(), tick=False) as clock:
        for seconds, asked in ((0, 1), (9, 1), (2, 2)):
            clock.shift(seconds)
            assert client.post(LOGIN).status_code == 401
            assert len(provider.asked) == asked
        del provider.instead[DESCRIPTION]
        clock.shift(11)
        assert client.post(LOGIN).status_code == 302


@pytest.fixture
def hung(provider):
    """Let a conversation with the provider hang, and return the thread that has it."""
    reached = threading.Event()

    def hangs(handler):
        reached.set()
        hanging(handler)

    provider.instead[DESCRIPTION] = hangs
    thread = threading.Thread(target=lambda: describes(provider))
    thread.start()
    assert reached.wait(10)
    yield thread
    provider.is_over.set()
    thread.join()


def describes(provider):
    """Ask for the description, and return what it ends in."""
    try:
        return ProviderClient(SocialApp(**provider.as_setting)).description()
    except ProviderError as error:
        return error


def test_a_hanging_provider_holds_one_thread_and_others_are_told_to_wait(client, provider, hung):
    answer = client.post(LOGIN)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Too many people are signing in at identity providers" in answer.content.decode()
    assert len(provider.asked) == 1


def test_of_those_who_come_meanwhile_one_waits_and_the_others_are_told_at_once(
    provider, hung, monkeypatch
):
    monkeypatch.setattr(provider_client, "WAIT_SECONDS", 60)
    ended: SimpleQueue[object] = SimpleQueue()
    presses = [threading.Thread(target=lambda: ended.put(describes(provider))) for _ in range(8)]
    for press in presses:
        press.start()
    first = [ended.get(timeout=10) for _ in range(7)]
    assert {type(error) for error in first} == {ProvidersBusyError}
    assert sum(press.is_alive() for press in presses) >= 1
    provider.is_over.set()
    for press in presses:
        press.join()
    assert type(ended.get(timeout=10)) is ProviderError
    assert len(provider.asked) == 1  # who waited for the failure does not ask again


def test_one_client_address_starts_few_sign_ins(client, provider):
    statuses = [client.post(LOGIN).status_code for _ in range(STARTS.per_minute + 1)]
    assert statuses == [302] * STARTS.per_minute + [429]
    assert client.post(LOGIN, headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 429
    assert client.post(LOGIN, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_where_to_go_on_is_kept_only_when_it_is_short(client, provider):
    sent_back(client, provider, next="/" + "x" * 60_000)
    assert len(Session.objects.get().session_data) < 2000


def test_asking_by_head_starts_and_ends_nothing(client, provider, connected):
    assert client.head(LOGIN).status_code == 200
    back = sent_back(client, provider)
    assert client.head(back).status_code == 405
    assert client.get(back).url == "/"
