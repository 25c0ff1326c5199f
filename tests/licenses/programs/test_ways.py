"""A check is answered alike on every way: on the loop, in a thread, and by Django's layers.

The first two are servers that are asked by sockets, the third is Django's test client.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from licenses import tokens
from licenses.checking.results import Result
from licenses.models import LicenseKey, Slot
from subscriptions.models import Subscription
from tests.support.database import as_owner
from tests.support.factories import make_license
from tests.support.forge import Forger
from tests.support.malformed import BODIES, corpus
from tests.support.server import LivePortal
from tests.support.terminals import body_for
from tests.support.wire import connect, one_answer

pytestmark = pytest.mark.django_db(transaction=True)

CHECK = "/public/checklicense"
JSON = "application/json; charset=utf-8"
OF_THE_SERVER = {"date", "server", "connection", "content-length", "x-request-id"}
"""Headers that the HTTP server writes, and the one that differs each time."""

DIFFERENT = re.compile(
    rb'(?<="request_id": ")\w+|(?<="checked_at": ")[^"]+|(?<=ask again in )\d+(?= seconds)'
)
"""What differs in the body."""


class Asked(NamedTuple):
    """A request, in whatever form it is sent."""

    body: bytes
    method: str = "POST"
    path: str = CHECK
    kind: str = JSON
    host: str = "localhost"


class Told(NamedTuple):
    """An answer without what differs from request to request."""

    status: int
    headers: dict[str, str]
    body: bytes


type Way = Callable[[Asked], Told]


def told(status: int, headers: dict[str, str], body: bytes) -> Told:
    """Return the answer, having seen that its reference and its Retry-After are right."""
    if b'"request_id"' in body:
        assert json.loads(body)["request_id"] == headers["x-request-id"]
    kept = {name: value for name, value in headers.items() if name not in OF_THE_SERVER}
    if status == 429:
        assert 1 <= int(kept.pop("retry-after")) <= 61
    return Told(status, kept, DIFFERENT.sub(b"", body))


def by(portal: LivePortal) -> Way:
    def ask(asked: Asked) -> Told:
        lines = [f"{asked.method} {asked.path} HTTP/1.1", f"Host: {asked.host}"]
        lines += [f"Content-Type: {asked.kind}"] if asked.kind else []
        lines += [f"Content-Length: {len(asked.body)}", "", ""]
        with connect(portal) as wire:
            wire.sendall("\r\n".join(lines).encode() + asked.body)
            return told(*one_answer(wire, has_body=asked.method != "HEAD"))

    return ask


def by_django(asked: Asked) -> Told:
    answer = Client().generic(
        asked.method,
        asked.path,
        asked.body,
        content_type=asked.kind,
        headers={"host": asked.host},
    )
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return told(answer.status_code, headers, answer.content)


@pytest.fixture
def ways(another_portal: Callable[..., LivePortal]) -> Callable[..., list[Way]]:
    """Return `ways(**variables)`: all three, with servers that get the variables."""

    def three(**variables: str) -> list[Way]:
        at = {"PUBLIC_URL": settings.PUBLIC_URL}
        # Only where counts gather for a while is a check answered on the loop.
        servers = (another_portal(CHECK_COUNT_SECONDS=s, **at | variables) for s in ("60", "0"))
        return [*map(by, servers), by_django]

    return three


def alike(ways: list[Way], asked: Asked) -> Told:
    first, *others = (way(asked) for way in ways)
    assert others == [first] * len(others), asked
    return first


def result_of(answer: Told) -> str | None:
    found: str | None = json.loads(answer.body)["result"]
    return found


def set_key(**values: Any) -> Callable[[LicenseKey], object]:
    return lambda key: LicenseKey.objects.filter(pk=key.pk).update(**values)


def set_subscription(**values: Any) -> Callable[[LicenseKey], object]:
    return lambda key: Subscription.objects.filter(pk=key.license.subscription_id).update(**values)


def end_yesterday(key: LicenseKey) -> None:
    now = timezone.now()
    set_subscription(starts_at=now - timedelta(days=9), ends_at=now - timedelta(days=1))(key)


def overlap(**until: int) -> Callable[[LicenseKey], object]:
    def supersede(key: LicenseKey) -> None:
        now = timezone.now()
        until_then = now + timedelta(**until)
        set_key(state="superseded", replaced_at=now, accepted_until=until_then)(key)

    return supersede


CHANGES: list[tuple[Result, Callable[[LicenseKey], object]]] = [
    (Result.VALID, lambda _: None),
    (Result.SUPERSEDED, overlap(hours=1)),
    (Result.REPLACED, overlap(seconds=-1)),
    (Result.REPLACED, lambda key: set_key(state="replaced", replaced_at=timezone.now())(key)),
    (Result.UNKNOWN, set_key(token_sha256="0" * 64)),
    (
        Result.DELETED,
        lambda key: set_key(state="deleted", token=None, deleted_at=timezone.now())(key),
    ),
    (Result.REVOKED, lambda key: set_key(revoked_at=timezone.now())(key)),
    (Result.SUBSCRIPTION_PENDING, set_subscription(state="pending", activated_at=None)),
    (Result.SUBSCRIPTION_SUSPENDED, set_subscription(state="suspended")),
    (Result.SUBSCRIPTION_ENDED, set_subscription(state="ended")),
    (Result.SUBSCRIPTION_ENDED, end_yesterday),
]
"""What becomes of a key that has passed, and the result that it then gets."""

DISAGREEMENTS = {
    "issuer": Result.ISSUER_MISMATCH,
    "consumer_tenant_id": Result.TENANT_MISMATCH,
    "subject": Result.SUBJECT_MISMATCH,
    "authorized_party": Result.PARTY_MISMATCH,
    "broker_id": Result.PROVIDER_MISMATCH,
    "audience": Result.AUDIENCE_MISMATCH,
    "authorized_application_id": Result.APPLICATION_NOT_AUTHORIZED,
}


def new_key(signing_key: Any, **fields: Any) -> LicenseKey:
    return make_license(signing_key=signing_key, **fields).keys.get(slot=Slot.PRIMARY)


def signed_at(key: LicenseKey, forger: Forger, *, days: int) -> Asked:
    """Sign a key anew as of so many days from now, for a day; return the request for it."""
    begin = int(timezone.now().timestamp()) + days * 86_400
    claims = tokens.parse(key.token or "").claims | {"iat": begin, "nbf": begin}
    token = replace(forger, claims=claims | {"exp": begin + 86_400}).token()
    set_key(token_sha256=tokens.sha256_of(token))(key)
    return Asked(json.dumps(body_for(key) | {"key": token}).encode())


def request_of(key: LicenseKey, **changes: Any) -> Asked:
    return Asked(json.dumps(body_for(key, **changes)).encode())


def rename(table: str, other: str) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {other}")


def test_every_result_and_refusal(
    ways: Callable[..., list[Way]], signing_key: Any, forger: Forger
) -> None:
    three, seen = ways(), set()

    changed = [(result, new_key(signing_key), change) for result, change in CHANGES]
    for _, key, _ in changed:  # each is remembered as one that has passed
        assert result_of(alike(three, request_of(key))) == Result.VALID
    for result, key, change in changed:
        asked = request_of(key)
        change(key)
        assert result_of(alike(three, asked)) == result
        seen.add(result)

    key = new_key(signing_key)
    other = {"key_type": "secondary_key"}
    unlike = [(r, request_of(key, **{n: "other"})) for n, r in DISAGREEMENTS.items()]
    unlike += [
        (Result.KEY_TYPE_MISMATCH, request_of(key, **other)),
        (Result.NOT_YET_VALID, signed_at(new_key(signing_key), forger, days=1)),
        (Result.EXPIRED, signed_at(new_key(signing_key), forger, days=-2)),
    ]
    for result, asked in unlike:
        assert result_of(alike(three, asked)) == result
        seen.add(result)

    for _, result, forge in corpus():
        body = json.dumps(forger.request(forge(forger))).encode()
        answer = alike(three, Asked(body))
        too_large = len(body) > 65_536
        assert (answer.status == 413, result_of(answer)) == (
            too_large,
            None if too_large else result,
        )
        seen.add(result)
    assert seen == set(Result)

    good = request_of(key)
    refusals = [
        *((400, Asked(body)) for body in BODIES.values()),
        *((405, good._replace(method=method)) for method in ("GET", "HEAD", "PUT", "NONSENSE")),
        (413, Asked(b" " * 65_537)),
        *((415, good._replace(kind=kind)) for kind in ("text/json", "application/jsonp", "")),
        (404, good._replace(path="/public/nothing")),
        (404, good._replace(path=CHECK + "/")),
        *((400, good._replace(host=host)) for host in ("evil.example", "localhost, a", "[", "")),
    ]
    for status, asked in refusals:
        assert alike(three, asked).status == status, asked

    rename("licenses_signingkey", "away")
    try:
        answer = alike(three, good)
    finally:
        rename("away", "licenses_signingkey")
    # To PostgreSQL a table that is missing is a mistake, not an outage.
    is_outage = connection.vendor == "sqlite"
    expected = (503, "5") if is_outage else (500, None)
    assert (answer.status, answer.headers.get("retry-after")) == expected
    assert alike(three, good).status == 200


@pytest.mark.sweep
def test_http_is_led_to_https(
    ways: Callable[..., list[Way]], signing_key: Any, settings: Any
) -> None:
    asked = request_of(new_key(signing_key))
    settings.SECURE_SSL_REDIRECT = True
    led = alike(ways(PUBLIC_URL="https://localhost"), asked)
    assert (led.status, led.headers["location"]) == (308, f"https://localhost{CHECK}")


def test_a_limit(ways: Callable[..., list[Way]], signing_key: Any, settings: Any) -> None:
    asked = request_of(new_key(signing_key))
    settings.CHECKS_PER_MINUTE = 1
    limited = []
    for way in ways(CHECKS_PER_MINUTE="1"):
        answers = [way(asked) for _ in range(4)]  # a new minute may begin among them
        limited.append(next(answer for answer in answers if answer.status == 429))
    assert limited == limited[:1] * 3
