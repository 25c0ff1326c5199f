"""JWKS, status lists and their aggregation: what anyone verifies keys with."""

import base64
import json
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from licenses import keys, status_list
from licenses.checking import status_tokens
from licenses.checking.check import check
from licenses.models import KeyState, License, LicenseKey, SigningKeyState, Slot, StatusList
from licenses.programs import published
from licenses.tokens import base64url
from subscriptions.models import State
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.license_flows import generated

pytestmark = pytest.mark.django_db

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/token-status-list.json").read_text())


@pytest.fixture(autouse=True)
def _nothing_remembered():
    published.clear()
    yield
    published.clear()


@pytest.fixture
def license(signing_key) -> License:
    return make_license(signing_key=signing_key)


def key_of(license: License, slot: Slot = Slot.PRIMARY) -> LicenseKey:
    return license.keys.get(slot=slot, state=KeyState.CURRENT)


def payload(client: Any, number: int = 1) -> dict[str, Any]:
    """Return the verified claims of a list, as a stranger reads it with the JWKS alone."""
    token = client.get(f"/public/status/{number}").content.decode()
    key_set = jwt.PyJWKSet.from_dict(client.get("/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(token)
    [key] = [key for key in key_set.keys if key.key_id == header["kid"]]
    assert header == {"alg": "RS256", "typ": "statuslist+jwt", "kid": key.key_id}
    return jwt.decode(token, key, algorithms=["RS256"])


def entry_of(client: Any, key: LicenseKey) -> int:
    published.clear()
    told = payload(client, key.status_list_id)["status_list"]
    return status_list.read_entry(told["lst"], key.status_index, bits=told["bits"])


# JWK Set


def test_the_jwks_verifies_a_license_key(client, license):
    answer = client.get("/.well-known/jwks.json")
    assert (answer["Content-Type"], answer["Access-Control-Allow-Origin"]) == (
        "application/jwk-set+json",
        "*",
    )
    assert answer["Cache-Control"] == "public, max-age=30"
    [jwk] = answer.json()["keys"]
    assert set(jwk) == {"kty", "use", "alg", "kid", "n", "e", "x5c", "x5t#S256"}
    token = key_of(license).token
    assert token
    claims = jwt.decode(
        token, jwt.PyJWK(jwk), algorithms=["RS256"], audience=license.tenant_audience
    )
    assert claims["jti"] == str(key_of(license).jti)


def test_a_disabled_signing_key_is_not_published(client, license, signing_key):
    type(signing_key).objects.update(state=SigningKeyState.DISABLED)
    assert client.get("/.well-known/jwks.json").json() == {"keys": []}


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/public/status", "/public/status/1"])
def test_who_has_it_already_is_told_so(path, client, license):
    first = client.get(path)
    assert first.status_code == 200
    again = client.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert client.head(path)["ETag"] == first["ETag"]
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


# Status lists


def test_a_list_says_what_the_draft_asks_for(client, license):
    answer = client.get("/public/status/1")
    assert answer["Content-Type"] == "application/statuslist+jwt"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Cache-Control"] == "public, max-age=30"
    claims = payload(client)
    assert claims["sub"] == "http://localhost:8000/public/status/1"
    assert (claims["exp"] - claims["iat"], claims["ttl"]) == (86_400, 300)
    assert 0 <= time.time() - claims["iat"] < 43_210
    assert claims["iat"] % 43_200 == 0
    assert (set(claims["status_list"]), claims["status_list"]["bits"]) == ({"bits", "lst"}, 2)


def test_the_aggregation_names_every_list(client, license):
    assert client.get("/public/status").json() == {
        "status_lists": ["http://localhost:8000/public/status/1"]
    }


@pytest.mark.parametrize("number", ["2", "0", "9" * 40])
def test_there_is_no_other_list(number, client, license):
    answer = client.get(f"/public/status/{number}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_lists_of_past_times_are_not_answered(client, license):
    assert client.get("/public/status/1", {"time": "1700000000"}).status_code == 501


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/statuslist+jwt", 200),
        ("application/*", 200),
        ("application/statuslist+cwt, */*;q=0.1", 200),
        ("application/statuslist+cwt", 406),
        ("text/html", 406),
    ],
)
def test_accept_is_kept(accept, status, client, license):
    answer = client.get("/public/status/1", headers={"Accept": accept})
    assert answer.status_code == status


STATES: dict[str, tuple[int, Any]] = {
    "valid": (0, lambda key: None),
    "deleted": (1, lambda key: _set(key, state="deleted", token=None, deleted_at=timezone.now())),
    "revoked": (1, lambda key: _set(key, revoked_at=timezone.now())),
    "replaced": (1, lambda key: _set(key, state="replaced", replaced_at=timezone.now())),
    "superseded": (0, lambda key: _superseded(key, hours=1)),
    "superseded, overlap over": (1, lambda key: _superseded(key, hours=-1)),
    "subscription suspended": (2, lambda key: _subscribe(key, state=State.SUSPENDED)),
    "subscription past its end": (2, lambda key: _subscribe(key, ends_at=timezone.now())),
    "subscription ended": (1, lambda key: _subscribe(key, state=State.ENDED)),
    "signing key disabled": (1, lambda key: _disable_signing_key_of(key)),
    "revoked in a suspended subscription": (1, lambda key: _revoke_and_suspend(key)),
}


def _set(key: LicenseKey, **fields: Any) -> None:
    LicenseKey.objects.filter(pk=key.pk).update(**fields)


def _superseded(key: LicenseKey, hours: int) -> None:
    now = timezone.now()
    _set(key, state="superseded", replaced_at=now, accepted_until=now + timedelta(hours=hours))


def _subscribe(key: LicenseKey, **fields: Any) -> None:
    subscriptions = type(key.license.subscription).objects
    subscriptions.filter(pk=key.license.subscription_id).update(**fields)


def _disable_signing_key_of(key: LicenseKey) -> None:
    signing_keys = type(key.signing_key).objects
    signing_keys.update(state=SigningKeyState.DISABLED)
    keys.activate(keys.create())


def _revoke_and_suspend(key: LicenseKey) -> None:
    _set(key, revoked_at=timezone.now())
    _subscribe(key, state=State.SUSPENDED)


@pytest.mark.parametrize(("entry", "make_so"), STATES.values(), ids=STATES)
def test_a_list_agrees_with_the_check(entry, make_so, client, license):
    key = key_of(license)
    make_so(key)
    assert entry_of(client, key) == entry
    assert check(key.token or "", expected={}).passes is (entry == 0)


def test_a_resumed_subscription_heals(client, license):
    key = key_of(license)
    _subscribe(key, state=State.SUSPENDED)
    assert entry_of(client, key) == 2
    _subscribe(key, state=State.ACTIVE)
    assert entry_of(client, key) == 0


@pytest.mark.parametrize(("after", "entry"), [(599, 1), (601, 0)])
def test_a_refused_key_leaves_when_nobody_accepts_it_anyway(after, entry, client, license):
    """It leaves at `exp` + 300 s of skew + 300 s of ttl."""
    now = timezone.now()
    expired = now - timedelta(seconds=after)
    key = make_key(license=license, state=KeyState.REPLACED)
    _set(key, issued_at=expired - timedelta(days=31), expires_at=expired)
    assert entry_of(client, key) == entry


def test_only_refused_keys_and_decoys_stand_in_a_list(client, license):
    told = payload(client)["status_list"]
    known = status_list.decoys(bytes(key_of(license).status_list.decoy_seed), 131_072)
    packed = zlib.decompress(base64.urlsafe_b64decode(told["lst"] + "=="))
    entries = frozenset(
        {4 * n + i for n, b in enumerate(packed) for i in range(4) if b >> 2 * i & 3}
    )
    assert (entries, len(packed)) == (known, 32_768)
    assert 131_072 // 500 <= len(known) <= 131_072 // 200


def test_no_key_gets_the_place_of_a_decoy(license, monkeypatch):
    listed = key_of(license).status_list
    decoy = min(status_list.decoys(bytes(listed.decoy_seed), listed.size))
    picks = chain([decoy, key_of(license).status_index], repeat(4711))
    monkeypatch.setattr("secrets.randbelow", lambda size: next(picks))
    assert status_list.pick() == (listed, [4711])


def test_a_list_that_is_half_assigned_is_followed_by_another(contoso, signing_key):
    StatusList.objects.create(number=1, size=4, decoy_seed=bytes(31) + b"4")
    lists = [
        generated(make_subscription(tenant=contoso)).keys.values_list("status_list", flat=True)
        for _ in range(2)
    ]
    assert [list(numbers) for numbers in lists] == [[1, 1], [2, 2]]


# Built seldom, answered from memory


def test_a_list_is_answered_from_memory(client, license):
    client.get("/public/status/1")
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/public/status/1").status_code == 200
    assert len(queries) == 0


@pytest.fixture
def clock(license, monkeypatch) -> Iterator[time_machine.Traveller]:
    """Stop the time, with a list that is looked at anew for every request."""
    monkeypatch.setattr(published, "FRESH_SECONDS", 0)
    period = published.SIGNED_EVERY_SECONDS
    begin = int(time.time()) // period * period
    with time_machine.travel(begin, tick=False) as traveller:
        yield traveller


def etag_after(client: Any, clock: time_machine.Traveller, seconds: int) -> str:
    clock.shift(seconds)
    return client.get("/public/status/1")["ETag"]


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_an_unchanged_list_keeps_its_token_and_a_changed_one_does_not(client, license, clock):
    first = client.get("/public/status/1")["ETag"]
    assert etag_after(client, clock, 2) == first
    _set(key_of(license), revoked_at=timezone.now())
    assert etag_after(client, clock, 2) != first


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_process_that_starts_later_gives_out_the_same_list(client, license, clock):
    first = client.get("/public/status/1")
    published.clear()  # as in another process
    clock.shift(published.SIGNED_EVERY_SECONDS - 1)
    again = client.get("/public/status/1")
    assert (again.content, again["ETag"]) == (first.content, first["ETag"])


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_list_is_signed_anew_at_half_of_its_life(client, license, clock):
    first = client.get("/public/status/1")["ETag"]
    half = status_tokens.LIFETIME_SECONDS // 2
    assert etag_after(client, clock, half - 1) == first
    assert etag_after(client, clock, 1) != first


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_rotation_signs_an_unchanged_list_anew(client, license, clock):
    first = client.get("/public/status/1")["ETag"]
    successor = keys.activate(keys.create())
    assert etag_after(client, clock, 2) != first
    token = client.get("/public/status/1").content.decode()
    assert jwt.get_unverified_header(token)["kid"] == successor.kid


def test_without_a_signing_key_it_says_so(client, license):
    type(license.keys.first().signing_key).objects.update(state=SigningKeyState.PASSIVE)
    answer = client.get("/public/status/1")
    assert (answer.status_code, answer.json()["error"]) == (503, "server_error")


# The published vectors, and our own reader


@pytest.mark.parametrize("vector", VECTORS["small"], ids=lambda v: f"{v['bits']} bits")
def test_small_vectors(vector):
    packed = bytes.fromhex(vector["bytes_hex"])
    bits = vector["bits"]
    values = [b >> place & ((1 << bits) - 1) for b in packed for place in range(0, 8, bits)]
    told = [status_list.read_entry(vector["lst"], n, bits=bits) for n in range(len(values))]
    assert told == values
    made = status_list.compressed(dict(enumerate(values)), len(values), bits=bits)
    assert made == vector["lst"]


@pytest.mark.parametrize("vector", VECTORS["long"], ids=lambda v: f"{v['bits']} bits")
def test_long_vectors(vector):
    status = {int(index): value for index, value in vector["status"].items()}
    bits = vector["bits"]
    assert {i: status_list.read_entry(vector["lst"], i, bits=bits) for i in status} == status
    assert status_list.read_entry(vector["lst"], 1, bits=bits) == status.get(1, 0)
    made = status_list.compressed(status, vector["size"], bits=bits)
    assert {i: status_list.read_entry(made, i, bits=bits) for i in status} == status


BOMB = base64url(zlib.compress(bytes(100_000_000), 9))


@pytest.mark.parametrize(
    "lst",
    ["", "AAAA", "not base64!", BOMB, BOMB[:-20], base64url(zlib.compress(b"\0" * 10))[:-6]],
    ids=["empty", "no zlib", "no base64url", "a bomb", "a cut bomb", "cut"],
)
def test_a_list_that_is_none_is_refused(lst):
    with pytest.raises(ValueError, match="status list"):
        status_list.read_entry(lst, 5, bits=2)


@pytest.mark.parametrize("index", [-1, 40, 10**12])
def test_an_index_outside_is_refused(index):
    with pytest.raises(ValueError, match="no entry"):
        status_list.read_entry(base64url(zlib.compress(bytes(10))), index, bits=2)
