"""Creating, activating, disabling and rotating signing keys: flows, command and system check."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from licenses import keys
from licenses.checking import check
from licenses.checking.results import Result
from licenses.flows.signing_keys import (
    activate_signing_key,
    count_accepted_keys,
    create_signing_key,
    disable_signing_key,
    rotate_signing_key,
)
from licenses.models import KeyState, LicenseKey, SigningKey, Slot
from portal.activity.models import VENDOR, LogEntry
from tests.support.factories import make_key, make_license
from tests.support.license_flows import BOB, DAY, NOW, at, refusal
from tests.support.races import race_all

HOUR = timedelta(hours=1)


def vendor_log() -> list[tuple[Any, ...]]:
    """Return the vendor's log, the oldest row first."""
    rows = LogEntry.objects.filter(tenant_id=VENDOR).order_by("seq")
    return [(row.action, row.actor_name, row.reason, row.details) for row in rows]


def published() -> set[str]:
    return {key["kid"] for key in keys.jwks()["keys"]}


def result(token: str | None) -> str:
    return check.check(token or "", expected={}).result


# Create, activate, disable


def test_a_new_key_is_published_before_it_signs(signing_key):
    made = create_signing_key(actor=BOB, reason="Yearly")
    assert made.state == "passive"
    assert published() == {made.kid, signing_key.kid}
    details = {"kid": made.kid, "before": {"state": None}, "after": {"state": "passive"}}
    assert vendor_log() == [("signing_key.created", "Bob Babbage", "Yearly", details)]


def test_it_can_not_be_activated_before_it_was_published_long_enough(signing_key, settings):
    settings.SIGNING_KEY_PUBLISHED_HOURS = 48
    made = create_signing_key(actor=BOB, now=NOW)
    signs = made.created_at + 48 * HOUR
    early = signs - timedelta(seconds=1)
    no = refusal(lambda: activate_signing_key(signing_key=made, actor=BOB, now=early))
    assert no.sentence == (
        f"This signing key was published too recently. It can be activated from {at(signs)} on, "
        "when everybody who verifies keys has fetched it."
    )
    assert keys.active() == signing_key
    activate_signing_key(signing_key=made, actor=BOB, now=signs)
    assert keys.active() == made


def test_one_that_was_activated_meanwhile_is_not_activated_again(signing_key):
    outdated = create_signing_key(actor=BOB)
    own = SigningKey.objects.get(pk=outdated.pk)
    activated = activate_signing_key(signing_key=own, actor=BOB, is_emergency=True)
    before = vendor_log()
    again = activate_signing_key(signing_key=outdated, actor=BOB, is_emergency=True)
    assert (again.activated_at, vendor_log()) == (activated.activated_at, before)


def test_an_emergency_does_not_wait(signing_key):
    made = create_signing_key(actor=BOB)
    activate_signing_key(signing_key=made, actor=BOB, reason="Leaked", is_emergency=True)
    assert keys.active() == made
    assert vendor_log()[-1] == (
        "signing_key.activated",
        "Bob Babbage",
        "Leaked",
        {
            "kid": made.kid,
            "is_emergency": True,
            "before": {"state": "passive", "signs": signing_key.kid},
            "after": {"state": "active", "signs": made.kid},
        },
    )


def test_the_first_one_of_all_signs_at_once(db):
    made = create_signing_key(actor=BOB)
    assert activate_signing_key(signing_key=made, actor=BOB).state == "active"


def test_activating_the_active_one_again_is_no_second_row(signing_key):
    assert activate_signing_key(signing_key=signing_key, actor=BOB) == signing_key
    assert vendor_log() == []


def test_disabling_refuses_the_license_keys_that_live(signing_key):
    license = make_license()
    make_key(license=license, state=KeyState.SUPERSEDED)
    make_key(license=license, state=KeyState.REPLACED)
    make_key(license=license, state=KeyState.REPLACED, revoked_at=timezone.now())
    old = license.keys.get(state=KeyState.CURRENT, slot=Slot.PRIMARY)
    assert count_accepted_keys(signing_key) == 3
    successor = create_signing_key(actor=BOB)
    activate_signing_key(signing_key=successor, actor=BOB, is_emergency=True)
    assert result(old.token) == Result.VALID
    disable_signing_key(signing_key=signing_key, actor=BOB, reason="Leaked")
    assert result(old.token) == Result.SIGNING_KEY_UNKNOWN
    assert published() == {successor.kid}
    assert vendor_log()[-1] == (
        "signing_key.disabled",
        "Bob Babbage",
        "Leaked",
        {
            "kid": signing_key.kid,
            "refused_license_keys": 3,
            "before": {"state": "passive"},
            "after": {"state": "disabled"},
        },
    )
    disable_signing_key(signing_key=signing_key, actor=BOB, reason="Again")
    assert len(vendor_log()) == 3


def test_the_active_one_gets_the_successor_that_waits_in_the_same_step(signing_key):
    waits = create_signing_key(actor=BOB)
    disable_signing_key(signing_key=signing_key, actor=BOB, reason="Leaked")
    states = dict(SigningKey.objects.values_list("kid", "state"))
    assert states == {signing_key.kid: "disabled", waits.kid: "active"}
    rows = [(action, details["kid"]) for action, _, _, details in vendor_log()[1:]]
    assert rows == [("signing_key.activated", waits.kid), ("signing_key.disabled", signing_key.kid)]


@pytest.mark.parametrize("waits", [False, True])
def test_the_active_one_gets_a_new_successor_if_none_waits_or_it_may_have_leaked_too(
    waits, signing_key
):
    waiting = create_signing_key(actor=BOB) if waits else None
    disable_signing_key(
        signing_key=signing_key, actor=BOB, reason="Leaked", with_new_successor=waits
    )
    assert published() == {keys.active().kid} | ({waiting.kid} if waiting else set())
    assert keys.active() not in (signing_key, waiting)


def test_where_no_successor_can_be_made_nothing_is_disabled(signing_key, settings):
    settings.KEY_ENCRYPTION_KEYS = []
    with pytest.raises(ValueError, match="at least one"), transaction.atomic():
        disable_signing_key(signing_key=signing_key, actor=BOB, reason="Leaked")
    assert (keys.active(), vendor_log()) == (signing_key, [])


# Rotation


def rotate(**options: Any) -> str:
    out = StringIO()
    call_command("rotate_signing_key", stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def clock(signing_key) -> Iterator[time_machine.Traveller]:
    """A clock to move, 200 days after the signing key began to sign."""
    SigningKey.objects.update(activated_at=NOW - 200 * DAY, created_at=NOW - 200 * DAY)
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_rotation_takes_two_runs_and_a_day(clock, signing_key):
    first = rotate()
    successor = SigningKey.objects.get(state="passive")
    assert first.startswith(f"Created the signing key {successor.kid}: it is published")
    assert rotate().startswith(f"Waiting for the signing key {successor.kid}: it is published")
    assert keys.active() == signing_key
    clock.shift(24 * HOUR)
    assert rotate() == (
        f"The signing key {successor.kid} signs from now on. {signing_key.kid} still verifies.\n"
    )
    assert keys.active() == successor
    assert published() == {successor.kid, signing_key.kid}
    rows = [(action, reason) for action, _, reason, _ in vendor_log()]
    assert rows == [
        ("signing_key.created", "rotate_signing_key"),
        ("signing_key.activated", "rotate_signing_key"),
    ]


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_run_too_many_changes_nothing(clock, signing_key):
    rotate()
    clock.shift(24 * HOUR)
    rotate()
    before = [*SigningKey.objects.order_by("pk").values()]
    for _ in range(3):
        clock.shift(DAY)
        assert rotate().startswith("Nothing to do: the active signing key is new.")
    assert [*SigningKey.objects.order_by("pk").values()] == before
    assert len(vendor_log()) == 2


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_a_rotation_in_an_emergency_takes_one_run(clock, signing_key):
    assert "signs from now on" in rotate(emergency=True)
    assert keys.active() != signing_key
    assert SigningKey.objects.count() == 2


@pytest.mark.sqlite  # PostgreSQL's clock does not travel
def test_an_emergency_takes_the_successor_that_waits(clock, signing_key):
    rotate()
    rotate(emergency=True)
    assert SigningKey.objects.count() == 2
    assert keys.active() != signing_key


def test_a_second_key_is_not_made_active_by_the_command_for_the_first(signing_key):
    with pytest.raises(CommandError, match="published too recently"):
        call_command("create_signing_key", activate=True)
    assert SigningKey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_checks_go_on_while_keys_rotate(signing_key):
    license = make_license()
    tokens = [key.token for key in license.keys.all()]

    def check() -> set[str]:
        return {result(token) for _ in range(20) for token in tokens}

    def turn() -> int:
        for _ in range(3):
            rotate_signing_key(actor=BOB, is_emergency=True)
        return SigningKey.objects.filter(state="active").count()

    assert race_all([check, check, turn, check]) == [{"valid"}, {"valid"}, 1, {"valid"}]
    assert keys.active() != signing_key
    new = make_license(signing_key=keys.active())
    assert {result(key.token) for key in new.keys.all()} == {"valid"}
    assert set(LicenseKey.objects.values_list("signing_key__kid", flat=True)) == {
        signing_key.kid,
        keys.active().kid,
    }


# The system check


def warned() -> list[str]:
    found = run_checks(tags=["database"], databases=["default"])
    return [str(check.id) for check in found if (check.id or "").startswith("licenses.")]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (179 * DAY, []),
        (181 * DAY, ["licenses.W001"]),
        (1095 * DAY - 365 * DAY - HOUR, ["licenses.W001"]),
        (1097 * DAY - 365 * DAY, ["licenses.W001", "licenses.W002"]),
    ],
)
def test_an_aging_key_is_told(age, expected, db):
    keys.ensure_active(now=timezone.now() - age)
    assert warned() == expected


def test_a_portal_without_signing_key_has_no_old_one(db):
    assert warned() == []
