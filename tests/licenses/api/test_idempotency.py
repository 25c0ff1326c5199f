"""What is asked for twice is done once."""

from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from licenses.api import idempotency
from licenses.api.representations import slots_shown
from licenses.flows import reset
from licenses.flows.delete import delete_keys
from licenses.models import IdempotentRequest, License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from subscriptions.models import State
from tests.support.api import Caller, code_of, of
from tests.support.factories import make_license, make_subscription
from tests.support.races import race

pytestmark = pytest.mark.usefixtures("signing_key")
BODY = {"usage": "org", "holder_name": "Contoso"}


@pytest.fixture
def caller(contoso):
    return Caller(contoso)


def test_a_repeated_request_gets_the_first_answer_and_changes_nothing(caller, contoso):
    path = of(make_subscription(tenant=contoso), "/generate")
    first = caller.post(path, BODY, Idempotency_Key="a1")
    again = caller.post(path, BODY, Idempotency_Key='"a1"')  # as Structured Fields write it
    assert (again.status_code, again.content) == (201, first.content)
    assert again["Location"] == first["Location"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert LogEntry.objects.for_tenant(contoso.pk).count() == 1


def test_a_key_is_bound_to_its_request_and_to_its_token(caller, contoso):
    subscription = make_subscription(tenant=contoso)
    path = of(subscription, "/generate")
    caller.post(path, BODY, Idempotency_Key="a1")
    for other in (
        caller.post(path, BODY | {"usage": "per"}, Idempotency_Key="a1"),
        caller.post(of(subscription, "/keys/primary/renew"), Idempotency_Key="a1"),
    ):
        assert code_of(other) == (422, "idempotency_key_reused")
    answer = Caller(contoso).post(path, BODY, Idempotency_Key="a1")
    assert code_of(answer) == (409, "refused")


def test_a_refusal_gives_the_key_back(caller, contoso):
    subscription = make_subscription(tenant=contoso, state=State.SUSPENDED)
    path = of(subscription, "/generate")
    assert code_of(caller.post(path, BODY, Idempotency_Key="a1")) == (409, "refused")
    subscription.state = State.ACTIVE
    subscription.save()
    assert caller.post(path, BODY, Idempotency_Key="a1").status_code == 201


@pytest.mark.parametrize("key", ["", "a b", 'a"b', "é", "x" * 256, f"plt_{'a' * 49}"])
def test_what_is_no_key_is_refused(key, caller, contoso):
    path = of(make_subscription(tenant=contoso), "/generate")
    assert code_of(caller.post(path, BODY, Idempotency_Key=key)) == (400, "invalid_request")
    assert License.objects.count() == 0


def test_one_that_runs_is_waited_for_and_one_whose_process_died_is_not(caller, contoso):
    path = of(make_subscription(tenant=contoso), "/generate")
    caller.post(path, BODY, Idempotency_Key="a1")
    IdempotentRequest.objects.update(status=None, body="")
    running = caller.post(path, BODY, Idempotency_Key="a1")
    assert code_of(running) == (409, "request_running")
    assert running["Retry-After"] == "1"
    with time_machine.travel(timezone.now() + idempotency.LEASE, tick=False):
        again = caller.post(path, BODY, Idempotency_Key="a1")
    assert code_of(again) == (409, "refused")  # its keys are there: the flow says who made them
    assert IdempotentRequest.objects.count() == 0


def test_answers_are_kept_for_a_day(caller, contoso):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    path = of(subscription, "/keys/primary/renew")
    first = caller.post(path, Idempotency_Key="a1")
    caller.post(path, Idempotency_Key="a2")
    assert idempotency.prune() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1), tick=False):
        later = caller.post(path, Idempotency_Key="a1")
        assert idempotency.prune() == 1
    assert first.status_code == later.status_code == 200
    assert "Idempotency-Replayed" not in later
    assert IdempotentRequest.objects.get().key == "a1"


def test_no_license_key_is_kept_with_an_answer(caller, contoso):
    subscription = make_subscription(tenant=contoso)
    caller.post(of(subscription, "/generate"), BODY, Idempotency_Key="a1")
    kept = IdempotentRequest.objects.get().body
    assert not any(key.token in kept for key in LicenseKey.objects.all())


@contextmanager
def deleted_after(action, subscription):
    """Delete the keys as soon as the change of that action is committed, before its answer."""
    rows = LogEntry.objects.of_action(action)
    before, is_deleted = rows.count(), False

    def execute(proceed, sql, *arguments):
        nonlocal is_deleted
        result = proceed(sql, *arguments)
        is_committed = sql.startswith("RELEASE") and not connection.savepoint_ids
        if is_committed and not is_deleted and rows.count() > before:
            is_deleted = True
            delete_keys(license=License.objects.newest_of(subscription), actor=SYSTEM)
        return result

    with connection.execute_wrapper(execute):
        yield
    assert is_deleted


@pytest.mark.parametrize("action", [Action.KEYS_GENERATED, Action.KEY_RESET, Action.KEY_RENEWED])
def test_a_change_is_answered_when_its_keys_are_deleted_meanwhile(
    action, caller, contoso, monkeypatch
):
    subscription = make_subscription(tenant=contoso)

    def change():
        if action == Action.KEYS_GENERATED:
            return caller.post(of(subscription, "/generate"), BODY, Idempotency_Key="a1")
        license = make_license(subscription=subscription)
        issued = timezone.now() - timedelta(days=30)
        license.keys.update(issued_at=issued, expires_at=issued + timedelta(days=31))
        path = of(subscription, "/keys/primary")
        if action == Action.KEY_RENEWED:
            return caller.post(f"{path}/renew", Idempotency_Key="a1")
        seen = caller.get(path)["ETag"]
        return caller.post(
            f"{path}/reset", {"overlap": "week"}, If_Match=seen, Idempotency_Key="a1"
        )

    with deleted_after(action, subscription):
        assert change().status_code in {200, 201}
    assert IdempotentRequest.objects.get().status in {200, 201}
    # The control: told from what is in the slots by then, it fails; the key is not given back.
    IdempotentRequest.objects.all().delete()
    monkeypatch.setattr(
        "licenses.api.keys.slots_shown", lambda license, now, _=None: slots_shown(license, now)
    )
    with deleted_after(action, subscription):
        assert code_of(change()) == (500, "server_error")
    assert IdempotentRequest.objects.get().status is None


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_with_one_key_one_does_it(contoso):
    caller, subscription = Caller(contoso), make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    path, numbers = of(subscription, "/keys/primary/check"), count(1)

    def checks() -> int:
        return LogEntry.objects.for_tenant(contoso.pk).of_action(Action.KEY_CHECKED).count()

    answers = race(lambda: caller.post(path, Idempotency_Key="a1").status_code, 4)
    assert (checks(), {*answers} - {409}) == (1, {200})
    # The control: with a key for each, all of them are done.
    answers = race(lambda: caller.post(path, Idempotency_Key=f"b{next(numbers)}").status_code, 4)
    assert (checks(), answers) == (5, [200] * 4)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_reset_from_the_same_key_one_does_it(contoso, monkeypatch):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    caller, path = Caller(contoso), of(subscription, "/keys/primary")

    def reset_at_once() -> list[int]:
        seen = caller.get(path)["ETag"]
        body = {"overlap": "now"}
        return race(lambda: caller.post(f"{path}/reset", body, If_Match=seen).status_code)

    def keys() -> int:
        return LicenseKey.objects.filter(slot=Slot.PRIMARY).count()

    assert (sorted(reset_at_once()), keys()) == ([200, 412], 2)
    # The control: without the comparison both of them reset.
    monkeypatch.setattr(reset, "refuse_unless_expected", lambda *_: None)
    assert (reset_at_once(), keys()) == ([200, 200], 4)
