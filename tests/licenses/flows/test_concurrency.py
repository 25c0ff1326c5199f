"""Many people at once: one license, one new key, and a polite answer for everybody else.

Each race has its control, which takes the lock away in the test and shows the difference: errors
of the database instead of sentences for people.
"""

import threading
from collections import Counter
from importlib import import_module

import pytest
from django.db import DatabaseError, connection, connections

from licenses.flows.delete import delete_keys
from licenses.flows.generate import generate_keys
from licenses.flows.reset import Overlap, reset_key
from licenses.models import KeyState, License, LicenseKey, Slot, Usage
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from subscriptions.models import Subscription
from tests.support.factories import make_license, make_subscription
from tests.support.races import race, race_all

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 16


@pytest.fixture
def no_lock(monkeypatch):
    """Take the lock away: everybody reads the subscription, then all go on together."""
    everybody = threading.Barrier(RACERS, timeout=20)

    def read_only(_model, pk):
        subscription = Subscription.objects.get(pk=pk)
        everybody.wait()
        return subscription

    for flow in ("generate", "reset"):
        monkeypatch.setattr(import_module(f"licenses.flows.{flow}"), "lock", read_only)
    if connection.vendor == "sqlite":
        # There the lock is the transaction's mode: BEGIN IMMEDIATE lets one in after the other.
        options = connections.settings["default"]["OPTIONS"]
        monkeypatch.setitem(options, "transaction_mode", "DEFERRED")
        monkeypatch.setitem(options, "timeout", 1)


def generating(subscription):
    return lambda: generate_keys(
        subscription=subscription,
        actor=SYSTEM,
        usage=Usage.ORGANIZATIONAL,
        holder_name="Contoso Ltd",
    )


def resetting(license, key):
    return lambda: reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=SYSTEM,
        overlap=Overlap.DAY,
        expected_jti=key.jti,
    )


def kinds(outcomes):
    return Counter(type(outcome).__name__ for outcome in outcomes)


@pytest.fixture
def subscription(contoso, signing_key):
    return make_subscription(tenant=contoso)


@pytest.fixture
def license(contoso, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso))


def test_many_who_generate_at_once_make_one_license_with_two_keys(subscription):
    outcomes = race(generating(subscription), RACERS)
    assert kinds(outcomes) == {"License": 1, "Refused": RACERS - 1}
    [made] = License.objects.all()
    assert sorted(made.keys.values_list("slot", "state")) == [
        ("primary", "current"),
        ("secondary", "current"),
    ]
    assert {str(no).split(" on ")[0] for no in outcomes if isinstance(no, Refused)} == {
        "System generated the license keys of this subscription"
    }
    assert LogEntry.objects.filter(action="license_keys.generated").count() == 1


def test_without_the_lock_those_who_generate_get_errors_of_the_database(subscription, no_lock):
    outcomes = race(generating(subscription), RACERS)
    assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    assert License.objects.count() == 1, "the constraint still holds"


def test_many_who_reset_one_slot_from_one_page_make_one_new_key(license):
    old = license.keys.current().get(slot=Slot.PRIMARY)
    other = license.keys.current().get(slot=Slot.SECONDARY)
    outcomes = race(resetting(license, old), RACERS)
    assert kinds(outcomes) == {"LicenseKey": 1, "Refused": RACERS - 1}
    [new] = [outcome for outcome in outcomes if isinstance(outcome, LicenseKey)]
    assert sorted(license.keys.values_list("slot", "state", "jti")) == sorted(
        [
            ("primary", KeyState.CURRENT, new.jti),
            ("primary", KeyState.SUPERSEDED, old.jti),
            ("secondary", KeyState.CURRENT, other.jti),
        ]
    )
    assert LogEntry.objects.filter(action="license_key.reset").count() == 1


def test_without_the_lock_those_who_reset_get_errors_of_the_database(license, no_lock):
    old = license.keys.current().get(slot=Slot.PRIMARY)
    outcomes = race(resetting(license, old), RACERS)
    assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    assert license.keys.current().count() == 2, "the constraint still holds"


def test_a_reset_and_a_delete_at_once_leave_no_living_key_behind(license):
    key = license.keys.current().get(slot=Slot.PRIMARY)
    reset, delete = resetting(license, key), lambda: delete_keys(license=license, actor=SYSTEM)
    outcomes = race_all([reset, delete] * (RACERS // 2))
    assert kinds(outcomes)["License"] == 1
    assert not license.keys.current().exists()
    assert not LicenseKey.objects.exclude(token=None).exists()
