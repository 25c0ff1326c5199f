"""Many people at once: one license, one new key, and a polite answer for everybody else.

Each race has its control, which takes the lock away in the test and shows the difference: errors
of the database instead of sentences for people.
"""

import re
import threading
from collections import Counter
from datetime import timedelta
from functools import partial
from importlib import import_module

import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from licenses.flows.delete import delete_keys
from licenses.flows.end_overlap import end_key_overlap
from licenses.flows.generate import generate_keys
from licenses.flows.renew import renew
from licenses.flows.reset import Overlap, reset_key
from licenses.flows.revoke import revoke_key
from licenses.models import KeyState, License, LicenseKey, Slot, Usage
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.tenants.flows.tenants import update_tenant
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from tests.support.admin_pages import address, form_of
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.races import DEADLINE, race_all
from tests.support.worker import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 16
RESET_BEFORE = "System reset the primary key on …. Nothing was changed: look at the new key first."


@pytest.fixture
def no_lock(monkeypatch):
    """Take the lock away: everybody reads the subscription, then all go on together."""
    everybody = threading.Barrier(RACERS, timeout=20)

    def read_only(model, pk, *related):
        rows = model.objects.select_related(*related) if related else model.objects
        row = rows.get(pk=pk)
        if model is Subscription:
            everybody.wait()
        return row

    for flow in ("delete", "end_overlap", "generate", "reset", "revoke"):
        monkeypatch.setattr(import_module(f"licenses.flows.{flow}"), "lock", read_only)
    if connection.vendor == "sqlite":
        # There the lock is the transaction's mode: BEGIN IMMEDIATE lets one in after the other.
        options = connections.settings["default"]["OPTIONS"]
        monkeypatch.setitem(options, "transaction_mode", "DEFERRED")
        monkeypatch.setitem(options, "timeout", 1)


# What somebody does with a page of their own: each has read the rows, and shares no object.


def generating(subscription):
    return partial(
        generate_keys,
        subscription=Subscription.objects.get(pk=subscription.pk),
        actor=SYSTEM,
        usage=Usage.ORGANIZATIONAL,
        holder_name="Contoso Ltd",
    )


def resetting(license):
    own = License.objects.select_related("subscription").get(pk=license.pk)
    return partial(
        reset_key,
        license=own,
        slot=Slot.PRIMARY,
        actor=SYSTEM,
        overlap=Overlap.DAY,
        expected_jti=own.keys.current().get(slot=Slot.PRIMARY).jti,
    )


def renewing(license, times=1):
    own = License.objects.select_related("subscription").get(pk=license.pk)
    act = partial(renew, license=own, slot=Slot.PRIMARY, actor=SYSTEM)
    return lambda: [act() for _ in range(times)]


def deleting(license):
    return partial(delete_keys, license=License.objects.get(pk=license.pk), actor=SYSTEM)


def ending(license):
    own = License.objects.get(pk=license.pk)
    seen = own.keys.current().get(slot=Slot.PRIMARY).jti
    return partial(end_key_overlap, license=own, slot=Slot.PRIMARY, actor=SYSTEM, expected_jti=seen)


def revoking(license):
    own = license.keys.current().select_related("license").get(slot=Slot.PRIMARY)
    return partial(revoke_key, key=own, actor=SYSTEM, reason="It leaked.")


def at_once(act, row):
    """Let many act on the row at once; return what each got."""
    return race_all([act(row) for _ in range(RACERS)])


def kinds(outcomes):
    return Counter(type(outcome).__name__ for outcome in outcomes)


def sentences(outcomes):
    """Return what those were told who came too late, without the moment in it."""
    told = {str(no) for no in outcomes if isinstance(no, Refused)}
    return {re.sub(r" on \d+ \w+ \d+ at \d\d:\d\d UTC", " on …", sentence) for sentence in told}


def rows_of(action):
    return LogEntry.objects.filter(action=action).count()


@pytest.fixture
def subscription(contoso, signing_key):
    return make_subscription(tenant=contoso)


@pytest.fixture
def license(contoso, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso))


@pytest.fixture
def overlapping(license):
    make_key(license=license, state=KeyState.SUPERSEDED)
    return license


def test_many_who_generate_at_once_make_one_license_with_two_keys(subscription):
    outcomes = at_once(generating, subscription)
    assert kinds(outcomes) == {"License": 1, "Refused": RACERS - 1}
    [made] = License.objects.all()
    assert sorted(made.keys.values_list("slot", "state")) == [
        ("primary", "current"),
        ("secondary", "current"),
    ]
    assert sentences(outcomes) == {
        "System generated the license keys of this subscription on …. Nothing was generated again."
    }
    assert rows_of("license_keys.generated") == 1


def test_without_the_lock_those_who_generate_get_errors_of_the_database(subscription, no_lock):
    outcomes = at_once(generating, subscription)
    assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    assert License.objects.count() == 1, "the constraint still holds"


def test_many_who_reset_one_slot_from_one_page_make_one_new_key(license):
    old = license.keys.current().get(slot=Slot.PRIMARY)
    other = license.keys.current().get(slot=Slot.SECONDARY)
    outcomes = at_once(resetting, license)
    assert kinds(outcomes) == {"LicenseKey": 1, "Replaced": RACERS - 1}
    [new] = [outcome for outcome in outcomes if isinstance(outcome, LicenseKey)]
    assert sorted(license.keys.values_list("slot", "state", "jti")) == sorted(
        [
            ("primary", KeyState.CURRENT, new.jti),
            ("primary", KeyState.SUPERSEDED, old.jti),
            ("secondary", KeyState.CURRENT, other.jti),
        ]
    )
    assert sentences(outcomes) == {RESET_BEFORE}
    assert rows_of("license_key.reset") == 1


def test_without_the_lock_those_who_reset_get_errors_of_the_database(license, no_lock):
    outcomes = at_once(resetting, license)
    assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    assert license.keys.current().count() == 2, "the constraint still holds"


@pytest.fixture
def due(license):
    """A license whose primary key is near its end."""
    issued = timezone.now() - timedelta(days=30)
    times = {"issued_at": issued, "expires_at": issued + timedelta(days=31)}
    license.keys.filter(slot=Slot.PRIMARY).update(**times)
    return license


@pytest.mark.parametrize("callers", [12, pytest.param(100, marks=pytest.mark.sweep)])
def test_many_who_renew_at_once_make_one_new_key_and_all_get_it(due, callers):
    times = 1
    if connection.vendor == "postgresql" and callers > 20:
        callers, times = 20, callers // 20  # of one process, no more are in the database at once
    outcomes = race_all([renewing(due, times) for _ in range(callers)])
    answers = [answer for got in outcomes for answer in got]
    [new] = due.keys.current().filter(slot=Slot.PRIMARY)
    assert Counter((answer.key, answer.renewed) for answer in answers) == {
        (new, True): 1,
        (new, False): callers * times - 1,
    }
    assert due.keys.filter(slot=Slot.PRIMARY).count() == 2
    assert rows_of("license_key.renewed") == 1


def test_without_the_lock_those_who_renew_get_errors_of_the_database(due, no_lock):
    outcomes = at_once(renewing, due)
    assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    assert due.keys.current().count() == 2, "the constraint still holds"


def test_a_reset_and_a_delete_at_once_leave_no_living_key_behind(license):
    acts = [resetting(license), deleting(license)] * (RACERS // 2)
    outcomes = race_all(acts)
    assert kinds(outcomes)["License"] == 1
    assert set(kinds(outcomes)) <= {"License", "LicenseKey", "Refused", "Replaced"}
    assert sentences(outcomes) <= {
        "System deleted these license keys on …. There is nothing to reset.",
        "System deleted these license keys on …. Nothing is left to delete.",
        RESET_BEFORE,
    }
    assert not license.keys.current().exists()
    assert not LicenseKey.objects.exclude(token=None).exists()


def test_many_who_delete_at_once_delete_once(license):
    outcomes = at_once(deleting, license)
    assert kinds(outcomes) == {"License": 1, "Refused": RACERS - 1}
    assert sentences(outcomes) == {
        "System deleted these license keys on …. Nothing is left to delete."
    }
    assert rows_of("license_keys.deleted") == 1


def test_many_who_end_an_overlap_at_once_end_it_once(overlapping):
    outcomes = at_once(ending, overlapping)
    assert kinds(outcomes) == {"LicenseKey": 1, "Refused": RACERS - 1}
    assert sentences(outcomes) == {
        "No old primary key is accepted any more: its overlap is over already."
    }
    assert rows_of("license_key.overlap_ended") == 1


def test_many_who_revoke_a_key_at_once_revoke_it_once(license):
    outcomes = at_once(revoking, license)
    assert kinds(outcomes) == {"LicenseKey": RACERS}
    assert len({outcome.revoked_at for outcome in outcomes}) == 1
    assert rows_of("license_key.revoked") == 1


@pytest.mark.parametrize(
    ("act", "action"),
    [
        (deleting, "license_keys.deleted"),
        (ending, "license_key.overlap_ended"),
        (revoking, "license_key.revoked"),
    ],
)
def test_without_the_lock_it_happens_again_and_again_or_fails(act, action, overlapping, no_lock):
    outcomes = at_once(act, overlapping)
    if connection.vendor == "sqlite":
        assert any(isinstance(outcome, DatabaseError) for outcome in outcomes), kinds(outcomes)
    else:
        assert rows_of(action) > 1


# The country, which stands in the keys


@pytest.fixture
def country_race(subscription, contoso, operator_client):
    """Return `country_race(change)`: outcomes of Generate, under way, and of the change to DEU.

    Generate has signed and read everything under its lock; before it stores anything, the change
    goes as far as it can: it is done, or waits for Generate.
    """

    def outcomes(change):
        reached, begun, ended = threading.Event(), threading.Event(), threading.Event()
        process: list[int] = []

        def before_storing(proceed, sql, *arguments):
            if sql.startswith('INSERT INTO "licenses_license"'):
                reached.set()
                assert begun.wait(DEADLINE)
                if connection.vendor == "postgresql":
                    wait_until(lambda: ended.is_set() or is_waiting(process[0]))
            return proceed(sql, *arguments)

        def generate():
            with connection.execute_wrapper(before_storing):
                return generating(subscription)()

        def begins(proceed, sql, *arguments):
            begun.set()
            return proceed(sql, *arguments)

        def change_it():
            assert reached.wait(DEADLINE)
            if connection.vendor == "postgresql":
                process.append(connection.connection.info.backend_pid)
            else:
                begun.set()  # Its turn comes after Generate, and its first statement with it.
            with connection.execute_wrapper(begins):
                try:
                    return change()
                finally:
                    ended.set()

        return race_all([generate, change_it])

    return outcomes


def is_waiting(process):
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [process])
        return cursor.fetchone()[0]


def through_the_admin(contoso, operator_client):
    url = address(Tenant, "change", contoso.pk)
    sent = {**form_of(operator_client, url), "reason": "They moved.", "country": "DEU"}
    return lambda: operator_client.post(url, sent)


def by_an_outdated_row(contoso, operator_client):
    """Change it with a row that has the new country already, as it was before another change."""
    outdated = Tenant.objects.get(pk=contoso.pk)
    outdated.country = "DEU"
    return partial(update_tenant, tenant=outdated, actor=SYSTEM, country="DEU")


CHANGES = pytest.mark.parametrize("change", [through_the_admin, by_an_outdated_row])


@CHANGES
def test_a_country_that_changes_while_keys_are_generated_stays(
    change, country_race, contoso, operator_client
):
    made, _ = country_race(change(contoso, operator_client))
    contoso.refresh_from_db()
    assert (made.country, contoso.country) == ("USA", "USA")
    entry = LogEntry.objects.get(tenant_id=contoso.pk)
    assert entry.action == "license_keys.generated"


@pytest.mark.postgres
@CHANGES
def test_without_the_lock_on_the_tenant_the_keys_have_another_country(
    change, country_race, contoso, operator_client
):
    changing = change(contoso, operator_client)

    def without_lock(proceed, sql, *arguments):
        if "portal_tenant" in sql:
            sql = sql.replace(" FOR NO KEY UPDATE", "")
        return proceed(sql, *arguments)

    def unlocked():
        with connection.execute_wrapper(without_lock):
            return changing()

    made, _ = country_race(unlocked)
    contoso.refresh_from_db()
    assert (made.country, contoso.country) == ("USA", "DEU")
