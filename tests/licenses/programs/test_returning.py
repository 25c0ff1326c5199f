"""A terminal that comes again is judged as at its first request, whatever has changed meanwhile."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client, RequestFactory
from django.utils import timezone

from licenses import keys
from licenses.checking import counts, returning
from licenses.models import CheckCount, LicenseKey, SigningKey, Slot
from licenses.programs import check
from portal.programs import limits
from portal.server.handler import ProgramRequest
from subscriptions.models import Subscription
from tests.support.factories import make_license
from tests.support.terminals import body_for

pytestmark = pytest.mark.django_db

URL = "/public/checklicense"


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Forget the requests that passed, and what the limits have counted."""
    returning.clear()
    limits.clear()


@pytest.fixture
def key(signing_key: SigningKey) -> LicenseKey:
    return make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)


def ask(client: Client, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return status and answer, without what differs from request to request."""
    answer = client.post(URL, json.dumps(body), content_type="application/json; charset=utf-8")
    told = answer.json()
    return answer.status_code, {
        n: v for n, v in told.items() if n not in {"request_id", "checked_at"}
    }


def superseded(**until: int) -> Callable[[], object]:
    return lambda: LicenseKey.objects.update(
        state="superseded",
        replaced_at=timezone.now(),
        accepted_until=timezone.now() + timedelta(**until),
    )


def swap_certificate() -> None:
    other = keys.create()
    SigningKey.objects.filter(pk=other.pk).delete()
    SigningKey.objects.update(certificate=bytes(other.certificate))


def swap_slots() -> None:
    LicenseKey.objects.filter(slot="secondary").delete()
    LicenseKey.objects.update(slot="secondary")


CHANGES: dict[str, tuple[str, Callable[[], object]]] = {
    "nothing": ("valid", lambda: None),
    "overlap": ("superseded", superseded(hours=1)),
    "overlap over": ("replaced", superseded(seconds=-1)),
    "signing key disabled": (
        "signing_key_unknown",
        lambda: SigningKey.objects.update(state="disabled"),
    ),
    "signing key gone": ("signing_key_unknown", lambda: SigningKey.objects.update(kid="x" * 43)),
    "another certificate": ("signature_invalid", swap_certificate),
    "no record": (
        "unknown",
        lambda: (CheckCount.objects.all().delete(), LicenseKey.objects.all().delete()),
    ),
    "record of another token": (
        "unknown",
        lambda: LicenseKey.objects.filter(slot="primary").update(token_sha256="0" * 64),
    ),
    "the other slot": ("key_type_mismatch", swap_slots),
    "deleted": (
        "deleted",
        lambda: LicenseKey.objects.update(state="deleted", token=None, deleted_at=timezone.now()),
    ),
    "revoked": ("revoked", lambda: LicenseKey.objects.update(revoked_at=timezone.now())),
    "replaced": (
        "replaced",
        lambda: LicenseKey.objects.update(state="replaced", replaced_at=timezone.now()),
    ),
    "pending": (
        "subscription_pending",
        lambda: Subscription.objects.update(state="pending", activated_at=None),
    ),
    "suspended": ("subscription_suspended", lambda: Subscription.objects.update(state="suspended")),
    "ended": ("subscription_ended", lambda: Subscription.objects.update(state="ended")),
    "end date passed": (
        "subscription_ended",
        lambda: Subscription.objects.update(
            starts_at=timezone.now() - timedelta(days=9), ends_at=timezone.now()
        ),
    ),
}


@pytest.mark.parametrize(("expected", "change"), CHANGES.values(), ids=CHANGES)
def test_the_second_request_says_what_a_first_one_would(
    expected: str, change: Callable[[], object], client: Client, key: LicenseKey
) -> None:
    body = body_for(key)
    assert ask(client, body)[1]["result"] == "valid"
    change()
    again = ask(client, body)
    returning.clear()
    assert again == ask(client, body)
    assert again[1]["result"] == expected


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (timedelta(seconds=-301), "not_yet_valid"),
        (timedelta(seconds=-299), "valid"),
        (timedelta(days=365, seconds=299), "valid"),
        (timedelta(days=365, seconds=301), "expired"),
    ],
)
def test_times_are_judged_at_every_request(
    shift: timedelta, expected: str, client: Client, key: LicenseKey
) -> None:
    body = body_for(key)
    assert ask(client, body)[1]["result"] == "valid"
    begin = key.issued_at if shift < timedelta(0) else key.expires_at - timedelta(days=365)
    with time_machine.travel(begin + shift, tick=False):
        again = ask(client, body)
        returning.clear()
        assert again == ask(client, body)
    assert again[1]["result"] == expected


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (superseded(hours=1), "superseded", "replaced"),
        (
            lambda: Subscription.objects.update(ends_at=timezone.now() + timedelta(hours=1)),
            "valid",
            "subscription_ended",
        ),
    ],
    ids=["overlap", "end date"],
)
def test_an_end_comes_though_nothing_is_written(
    change: Callable[[], object], before: str, after: str, client: Client, key: LicenseKey
) -> None:
    body = body_for(key)
    now = timezone.now()
    with time_machine.travel(now, tick=False) as clock:
        change()
        assert ask(client, body)[1]["result"] == before
        clock.shift(timedelta(minutes=59))
        assert ask(client, body)[1]["result"] == before
        clock.shift(timedelta(minutes=1))
        assert ask(client, body)[1]["result"] == after
        clock.shift(timedelta(minutes=-1))
        assert ask(client, body)[1]["result"] == before


def test_every_request_is_counted(client: Client, key: LicenseKey, settings: Any) -> None:
    settings.CHECK_COUNT_SECONDS = 0
    for _ in range(3):
        ask(client, body_for(key))
    counts.write()
    assert list(CheckCount.objects.values_list("result", "count")) == [("valid", 3)]


def test_a_limit_holds_for_those_that_come_again(
    client: Client, key: LicenseKey, settings: Any
) -> None:
    settings.CHECKS_PER_MINUTE = 2
    statuses = {ask(client, body_for(key))[0] for _ in range(6)}
    assert statuses == {200, 429}


def test_a_check_that_the_loop_leaves_to_a_thread_counts_once(
    key: LicenseKey, settings: Any
) -> None:
    settings.CHECKS_PER_MINUTE = 1
    request = RequestFactory().post(
        URL, json.dumps(body_for(key)), content_type="application/json; charset=utf-8"
    )
    away = sqlite3.connect(":memory:")  # without any table
    with closing(away), pytest.raises(sqlite3.OperationalError):
        check.fast_path(away)(request)
    again = ProgramRequest(request.META, request.body)
    answer = check.fast_path()(again)
    assert answer is not None
    assert answer.status == 200


def test_only_what_passed_is_remembered(client: Client, key: LicenseKey) -> None:
    token = key.token or ""
    forged = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBA")
    for body in (
        body_for(key, issuer="https://evil.example"),
        body_for(key) | {"key": forged},
        body_for(key) | {"key": "x"},
    ):
        assert ask(client, body)[0] in {400, 401}
        assert returning.recall(json.dumps(body).encode()) is None
    ask(client, body_for(key))
    assert returning.recall(json.dumps(body_for(key)).encode()) is not None


def test_the_memory_is_bounded(
    client: Client, key: LicenseKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "MAX_REQUESTS", 2)
    bodies = [body_for(key, consumer_object_id=str(number)) for number in range(3)]
    for number in (0, 1, 0, 2):
        ask(client, bodies[number])
    held = [returning.recall(json.dumps(body).encode()) is not None for body in bodies]
    assert held == [True, False, True]
