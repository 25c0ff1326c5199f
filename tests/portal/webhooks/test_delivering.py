"""Events are stored with what they tell, and delivered in order until they are taken."""

import json
import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from portal.activity.actions import CHANGE, EVENTS, MEMBERS, Action, told
from portal.activity.entries import record
from portal.activity.models import VENDOR, LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.metrics import installation
from portal.metrics.installation import WEBHOOK_DELIVERIES
from portal.webhooks import delivering
from portal.webhooks.delivering import claim, deliver_due, finish, pause, prune
from portal.webhooks.flows import (
    change_endpoint,
    delete_endpoint,
    resend,
    rotate_secret,
    send_test,
    switch_off,
    switch_on,
)
from portal.webhooks.models import Attempt, Delivery, DeliveryState, Endpoint, Event
from portal.webhooks.sending import Answer, signature
from subscriptions.flows.annotate import annotate_subscription
from subscriptions.flows.edit import edit_subscription
from tests.support.factories import make_subscription
from tests.support.people import member_actor
from tests.support.races import race

TAKEN = Answer(code=204)
AWAY = Answer(error="OSError: away")


@pytest.fixture
def tell(contoso):
    """Record something in a tenant's log, as a flow does."""

    def happen(action=Action.KEY_RESET, tenant=contoso, **fields):
        details = {"jti": "1", "replaces": "0", "accepted_until": "2026-12-01T00:00:00+00:00"}
        with transaction.atomic():
            return record(
                actor=SYSTEM, action=action, tenant_id=tenant.pk, details=details, **fields
            )

    return happen


def waiting(endpoint):
    return [delivery.event.type for delivery in endpoint.deliveries.waiting()]


@pytest.mark.django_db
class TestTelling:
    def test_an_event_is_the_row_of_the_log(self, make_endpoint, tell, contoso):
        endpoint = make_endpoint()
        row = tell(slot="primary", reason="Lost")
        event = endpoint.deliveries.get().event
        assert event.type == "key.reset"
        assert json.loads(event.body) == {
            "type": "key.reset",
            "timestamp": row.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "data": {
                "tenant_id": str(contoso.pk),
                "log_sequence": row.seq,
                "actor": {"kind": "system", "name": "System"},
                "subscription": None,
                "slot": "primary",
                "reason": "Lost",
                "details": row.details,
            },
        }

    def test_whom_it_concerns_is_told(self, make_endpoint, tell, contoso, fabrikam):
        own = make_endpoint("https://a.example")
        picky = make_endpoint("https://b.example", events=["key.revoked"])
        vendors = make_endpoint("https://c.example", tenant=None)
        foreign = make_endpoint("https://d.example", tenant=fabrikam)
        tell()
        tell(tenant=fabrikam)
        assert [waiting(each) for each in (own, picky, vendors, foreign)] == [
            ["key.reset"],
            [],
            ["key.reset"] * 2,
            ["key.reset"],
        ]

    def test_what_is_undone_was_never_told(self, make_endpoint, tell):
        endpoint = make_endpoint()
        with transaction.atomic():
            tell()
            transaction.set_rollback(True)
        assert waiting(endpoint) == []

    def test_without_an_endpoint_it_costs_one_query_and_for_no_event_none(
        self, contoso, tell, django_assert_num_queries
    ):
        tell()
        with django_assert_num_queries(6):  # savepoint and its release, lock, row, chain; one more
            tell()
        with django_assert_num_queries(5):
            tell(action=Action.KEY_DOWNLOADED)

    def test_of_a_change_no_field_that_may_hold_an_address_is_told(
        self, make_endpoint, contoso, operator
    ):
        endpoint = make_endpoint()
        row = make_subscription(tenant=contoso)
        changes = {
            "name": "Second",
            "beneficiary_email": "ada@contoso.example",
            "beneficiary_object_id": contoso.pk,
            "beneficiary_tenant_id": operator.pk,
        }
        was = {"name": row.name, "beneficiary_tenant_id": str(row.beneficiary_tenant_id)}
        edit_subscription(subscription=row, changes=changes, actor=SYSTEM, reason="-")
        annotate_subscription(
            subscription=row, actor=SYSTEM, labels="ask ada@contoso.example", note="10.0.0.1"
        )
        edited, annotated = [json.loads(each.event.body) for each in endpoint.deliveries.waiting()]
        after = {"name": "Second", "beneficiary_tenant_id": str(operator.pk)}
        assert edited["data"]["details"] == {"before": was, "after": after}
        assert annotated["type"] == "subscription.changed"
        assert annotated["data"]["details"] == {"before": {}, "after": {}}

    def test_every_member_that_is_described_for_an_event_is_told(self):
        for action in EVENTS:
            described = dict.fromkeys(MEMBERS.get(action, ()), 1)
            texts = {name: "text" for name in described if name not in {*CHANGE, "days"}}
            assert told({**described, **texts}).keys() == described.keys()

    def test_an_operator_is_the_vendor(self, make_endpoint, contoso, operator):
        endpoint = make_endpoint()
        with transaction.atomic():
            record(actor=operator.as_actor(), action=Action.KEYS_DELETED, tenant_id=contoso.pk)
        body = json.loads(endpoint.deliveries.get().event.body)
        assert body["data"]["actor"]["name"] == "The vendor"
        assert "@" not in json.dumps(body)


@pytest.mark.django_db(transaction=True)
class TestDelivering:
    def test_events_arrive_in_order_signed(self, make_endpoint, tell, receiver, secrets):
        endpoint = make_endpoint(receiver.url)
        rows = [tell() for _ in range(3)]
        assert deliver_due() == 3
        bodies = [json.loads(got.body) for got in receiver.received]
        assert [body["data"]["log_sequence"] for body in bodies] == [row.seq for row in rows]
        [got, *_] = receiver.received
        name, at = got.headers["webhook-id"], int(got.headers["webhook-timestamp"])
        assert got.headers["webhook-signature"] == signature(
            secrets[endpoint.pk], name, at, got.body.decode()
        )
        assert len({got.headers["webhook-id"] for got in receiver.received}) == 3
        attempt = Attempt.objects.first()
        assert (attempt.code, attempt.error) == (200, "")
        assert not waiting(endpoint)

    def test_the_next_waits_until_the_one_before_is_taken(self, make_endpoint, tell, receiver):
        endpoint = make_endpoint(receiver.url)
        receiver.status = 500
        tell()
        tell(action=Action.KEYS_DELETED)
        assert deliver_due() == 0
        assert len(receiver.received) == 1
        receiver.status = 200
        assert deliver_due() == 0  # the pause is not over
        Endpoint.objects.update(retry_at=timezone.now())
        assert deliver_due() == 2
        ids = [got.headers["webhook-id"] for got in receiver.received]
        assert ids[0] == ids[1] != ids[2]
        endpoint.refresh_from_db()
        assert endpoint.failures == 0

    def test_a_slow_receiver_holds_up_no_other(self, make_endpoint, tell, receiver):
        slow = make_endpoint(f"{receiver.url}/slow")
        quick = make_endpoint(f"{receiver.url}/quick")
        taken = threading.Event()

        def before_answer(got):
            if got.path.endswith("slow"):
                assert taken.wait(5)
            elif len([each for each in receiver.received if "quick" in each.path]) == 3:
                taken.set()

        receiver.before_answer = before_answer
        for _ in range(3):
            tell()
        assert deliver_due() == 6
        assert (waiting(slow), waiting(quick)) == ([], [])

    def test_what_is_under_way_is_finished_and_nothing_begun(self, make_endpoint, tell, receiver):
        endpoint = make_endpoint(receiver.url)
        stopping = threading.Event()
        receiver.before_answer = lambda _: stopping.set()
        tell()
        tell()
        assert deliver_due(stopped=stopping.is_set) == 1
        assert len(waiting(endpoint)) == 1

    def test_the_worker_delivers(self, make_endpoint, tell, receiver, settings):
        make_endpoint(receiver.url)
        tell()
        installation.store()
        before = WEBHOOK_DELIVERIES.rows().get(("delivered",), 0)
        call_command("run_worker", "--once")
        assert len(receiver.received) == 1
        assert WEBHOOK_DELIVERIES.rows()[("delivered",)] == before + 1

    def test_of_two_workers_one_sends(self, make_endpoint, tell):
        endpoint = make_endpoint()
        tell()
        claimed = race(lambda: claim(Endpoint.objects.get(pk=endpoint.pk)), 4)
        assert len([each for each in claimed if each is not None]) == 1

    def test_without_the_lease_both_send(self, make_endpoint, tell, monkeypatch):
        monkeypatch.setattr(delivering, "_lease", lambda endpoint, now: True)
        endpoint = make_endpoint()
        tell()
        claimed = race(lambda: claim(Endpoint.objects.get(pk=endpoint.pk)), 4)
        assert len([each for each in claimed if each is not None]) == 4


@pytest.mark.django_db
class TestOutages:
    def test_pauses_grow_to_an_hour(self):
        pauses = [pause(failures).total_seconds() for failures in range(1, 13)]
        assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        assert pause(1, asked=60) == timedelta(minutes=1)
        assert pause(1, asked=999_999) == timedelta(hours=1)

    def test_those_that_failed_together_are_not_tried_together(self, make_endpoint, tell):
        now = timezone.now()
        for number in range(10):
            make_endpoint(f"https://{number}.example")
        tell()
        for delivery in Delivery.objects.all():
            finish(delivery, AWAY, now=now)
        pauses = {(row.retry_at - now).total_seconds() for row in Endpoint.objects.all()}
        assert len(pauses) == 10
        assert 5 <= min(pauses) <= max(pauses) <= 6.25

    def test_another_address_is_tried_at_once_for_three_days(self, make_endpoint, tell, owner):
        endpoint, long_ago = make_endpoint(), timezone.now() - timedelta(days=2)
        tell()
        for _ in range(9):
            finish(endpoint.deliveries.get(), AWAY, now=long_ago)
        Endpoint.objects.update(retry_at=timezone.now() + timedelta(hours=1))
        assert not Endpoint.objects.due(timezone.now())
        change = {"endpoint": endpoint, "events": ["key.reset"], "actor": member_actor(owner)}
        change_endpoint(url=endpoint.url, **change)
        assert not Endpoint.objects.due(timezone.now())
        change_endpoint(url="https://other.example", **change)
        assert list(Endpoint.objects.due(timezone.now())) == [endpoint]
        assert endpoint.deliveries.get().first_tried_at is None

    def test_after_three_days_it_is_switched_off_with_a_mail(
        self, make_endpoint, tell, owner, manager, viewer
    ):
        endpoint, now = make_endpoint(), timezone.now()
        tell()
        tell()
        first, second = endpoint.deliveries.waiting()
        for after in (timedelta(), timedelta(days=3, seconds=-1), timedelta(days=3)):
            assert not Outbox.objects.exists()
            first.refresh_from_db()
            assert not finish(first, AWAY, now=now + after)
        first.refresh_from_db()
        endpoint.refresh_from_db()
        assert (first.state, endpoint.off_error) == (DeliveryState.GIVEN_UP, "OSError: away")
        assert waiting(endpoint) == ["key.reset"]
        assert sorted(mail.to for mail in Outbox.objects.all()) == sorted(
            [owner.email, manager.email]
        )
        row = LogEntry.objects.latest("pk")
        assert (row.action, row.actor_name) == (Action.WEBHOOK_SWITCHED_OFF, "System")
        tell()
        assert list(endpoint.deliveries.waiting()) == [second]
        switch_on(endpoint=endpoint, actor=member_actor(owner))
        assert claim(endpoint, now=now + timedelta(days=3)).delivery == second

    def test_gone_ends_it_at_once(self, make_endpoint, tell):
        endpoint = make_endpoint()
        tell()
        finish(endpoint.deliveries.get(), Answer(code=410))
        endpoint.refresh_from_db()
        assert endpoint.off_error == "The receiver answered with status 410."

    def test_the_vendors_own_is_mailed_to_who_may_set_it(
        self, make_endpoint, tell, operator, owner
    ):
        endpoint = make_endpoint(tenant=None)
        tell()
        finish(endpoint.deliveries.get(), Answer(code=410))
        assert [mail.to for mail in Outbox.objects.all()] == [operator.email]
        assert LogEntry.objects.latest("pk").tenant_id == VENDOR

    def test_what_was_deleted_meanwhile_is_noted_and_no_more(self, make_endpoint, tell, owner):
        endpoint = make_endpoint()
        tell()
        claimed = claim(endpoint)
        delete_endpoint(endpoint=endpoint, actor=member_actor(owner))
        finish(claimed.delivery, Answer(code=410))
        assert not Outbox.objects.exists()
        assert claim(endpoint) is None

    def test_a_worker_that_died_is_followed_by_another(self, make_endpoint, tell):
        endpoint, now = make_endpoint(), timezone.now()
        tell()
        assert claim(endpoint, now=now)
        assert claim(endpoint, now=now + delivering.LEASE - timedelta(seconds=1)) is None
        assert claim(endpoint, now=now + delivering.LEASE)

    def test_those_that_fail_or_are_new_or_just_switched_on_take_half_of_the_places(
        self, make_endpoint, tell, monkeypatch, owner
    ):
        monkeypatch.setattr(delivering, "AT_ONCE", 4)
        monkeypatch.setattr(delivering, "UNPROVEN_AT_ONCE", 2)
        endpoints = [make_endpoint(f"https://{number}.example") for number in range(6)]
        tell()
        finish(claim(endpoints[3]).delivery, TAKEN)
        finish(claim(endpoints[4]).delivery, TAKEN)
        finish(claim(endpoints[5]).delivery, AWAY)
        tell()
        Endpoint.objects.update(retry_at=timezone.now())
        switch_off(endpoint=endpoints[4], actor=member_actor(owner))
        switch_on(endpoint=endpoints[4], actor=member_actor(owner))
        begun = delivering._claim_some([])
        assert [claimed.is_proven for claimed in begun] == [True, False, False]
        assert begun[0].delivery.endpoint == endpoints[3]

    def test_events_are_kept_for_30_days(self, make_endpoint, tell, owner):
        endpoint, now = make_endpoint(), timezone.now()
        tell()
        finish(endpoint.deliveries.get(), TAKEN)
        delete_endpoint(endpoint=endpoint, actor=member_actor(owner))
        assert prune(now=now + timedelta(days=29)) == 0
        assert prune(now=now + timedelta(days=31)) == 1
        kept = [model.objects.count() for model in (Event, Delivery, Attempt, Endpoint)]
        assert kept == [0, 0, 0, 0]


@pytest.mark.django_db
class TestFlows:
    def test_the_old_secret_signs_for_a_day(self, make_endpoint, owner, secrets, tell):
        endpoint, now = make_endpoint(), timezone.now()
        seen = endpoint.secret_made_at.isoformat()
        _, new = rotate_secret(endpoint=endpoint, seen=seen, actor=member_actor(owner), now=now)
        tell()
        assert claim(endpoint).request.secrets == (new, secrets[endpoint.pk])
        later = now + timedelta(days=1)
        assert claim(endpoint, now=later).request.secrets == (new,)
        with pytest.raises(Refused, match="was rotated after you opened"):
            rotate_secret(endpoint=endpoint, seen=seen, actor=member_actor(owner))

    def test_secrets_are_encrypted_and_encrypted_anew(self, make_endpoint, secrets, settings, tell):
        endpoint = make_endpoint()
        before = Endpoint.objects.get().secret
        assert before.startswith("gAAAA")
        call_command("reencrypt_signing_keys")
        assert Endpoint.objects.get().secret != before
        tell()
        assert claim(endpoint).request.secrets == (secrets[endpoint.pk],)

    def test_one_address_once_and_ten_at_most(self, make_endpoint, owner):
        first = make_endpoint("https://a.example")
        with pytest.raises(Refused, match="already"):
            make_endpoint("https://a.example")
        second = make_endpoint("https://b.example")
        with pytest.raises(Refused, match="already"):
            change_endpoint(
                endpoint=second,
                url="https://a.example",
                events=["key.reset"],
                actor=member_actor(owner),
            )
        for number in range(8):
            make_endpoint(f"https://{number}.example")
        with pytest.raises(Refused, match="10 webhooks already"):
            make_endpoint("https://c.example")
        delete_endpoint(endpoint=first, actor=member_actor(owner))
        make_endpoint("https://a.example")

    def test_what_people_do_is_recorded(self, make_endpoint, owner):
        endpoint, actor = make_endpoint(), member_actor(owner)
        change_endpoint(endpoint=endpoint, url=endpoint.url, events=["key.reset"], actor=actor)
        change_endpoint(endpoint=endpoint, url=endpoint.url, events=["key.reset"], actor=actor)
        seen = endpoint.secret_made_at.isoformat()
        rotate_secret(endpoint=endpoint, seen=seen, actor=actor)
        event = send_test(endpoint=endpoint, actor=actor)
        resend(delivery=event.deliveries.get(), actor=actor)
        for _ in range(2):
            switch_off(endpoint=endpoint, actor=actor)
        with pytest.raises(Refused, match="switched off"):
            send_test(endpoint=endpoint, actor=actor)
        for _ in range(2):
            switch_on(endpoint=endpoint, actor=actor)
        delete_endpoint(endpoint=endpoint, actor=actor)
        with pytest.raises(Refused, match="Somebody has deleted"):
            switch_on(endpoint=endpoint, actor=actor)
        found = LogEntry.objects.filter(action__startswith="webhook.").order_by("pk")
        assert [row.action.removeprefix("webhook.") for row in found] == [
            "added",
            "changed",
            "secret_rotated",
            "tested",
            "resent",
            "switched_off",
            "switched_on",
            "deleted",
        ]
        assert not any("whsec" in json.dumps(row.details) for row in found)
        assert Endpoint.objects.get().secret == ""

    def test_what_is_sent_again_keeps_its_identifier(self, make_endpoint, owner, tell):
        endpoint = make_endpoint()
        tell()
        finish(endpoint.deliveries.get(), TAKEN)
        again = resend(delivery=endpoint.deliveries.get(), actor=member_actor(owner))
        claimed = claim(endpoint)
        assert (claimed.delivery, claimed.request.event_id) == (again, again.event.name)


@pytest.mark.django_db
def test_the_log_names_the_host_and_never_the_path(make_endpoint, owner):
    endpoint = make_endpoint("https://receiver.example/s3cret")
    actor = member_actor(owner)
    url = "https://receiver.example/0ther"
    change_endpoint(endpoint=endpoint, url=url, events=["key.reset"], actor=actor)
    switch_off(endpoint=endpoint, actor=actor)
    rows = LogEntry.objects.filter(action__startswith="webhook.").order_by("seq")
    text = json.dumps([row.details for row in rows])
    assert ("receiver.example" in text, "s3cret" in text, "0ther" in text) == (True, False, False)
