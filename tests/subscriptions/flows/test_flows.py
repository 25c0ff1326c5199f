"""What changes subscriptions: activate, rename, start the free one, suspend, resume, end."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.flows.activate import activate_subscription
from subscriptions.flows.rename import rename_subscription
from subscriptions.flows.start_community import start_community_subscription
from subscriptions.flows.suspend_resume_end import (
    end_subscription,
    resume_subscription,
    suspend_subscription,
)
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import make_subscription
from tests.support.races import race

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)
RACERS = 7


@pytest.fixture
def ada(owner: User) -> Actor:
    return Actor(kind=ActorKind.MEMBER, name="Ada", user_id=owner.pk, email=owner.email)


def row(subscription: Subscription) -> dict[str, Any]:
    return {**Subscription.objects.filter(pk=subscription.pk).values().get()}


def log() -> list[dict[str, Any]]:
    """Return what the log tells, the oldest row first."""
    columns = ("at", "actor_name", "action", "subscription_name", "reason", "details")
    return [{**entry} for entry in LogEntry.objects.order_by("seq").values(*columns)]


def refusal(act: Callable[[], object]) -> str:
    """Return the sentence of a refusal, which left everything as it was."""
    before = [*Subscription.objects.order_by("pk").values()], log()
    with pytest.raises(Refused) as caught:
        act()
    assert ([*Subscription.objects.order_by("pk").values()], log()) == before
    return caught.value.sentence


class TestActivate:
    def test_makes_a_pending_one_active(self, contoso: Tenant, ada: Actor) -> None:
        subscription = make_subscription(tenant=contoso, state=State.PENDING, name="Production")
        before = row(subscription)
        returned = activate_subscription(subscription=subscription, actor=ada, now=NOW)
        assert row(subscription) == before | {
            "state": "active",
            "activated_at": NOW,
            "activated_by_id": ada.user_id,
        }
        assert returned.state == State.ACTIVE
        assert log() == [
            {
                "at": NOW,
                "actor_name": "Ada",
                "action": "subscription.activated",
                "subscription_name": "Production",
                "reason": "",
                "details": {"before": {"state": "pending"}, "after": {"state": "active"}},
            }
        ]

    def test_once_more_changes_and_tells_nothing(self, contoso: Tenant, ada: Actor) -> None:
        subscription = make_subscription(tenant=contoso, state=State.PENDING)
        activate_subscription(subscription=subscription, actor=ada, now=NOW)
        before = row(subscription), log()
        returned = activate_subscription(subscription=subscription, actor=ada, now=NOW + DAY)
        assert (row(subscription), log()) == before
        assert returned.activated_at == NOW

    @pytest.mark.parametrize(
        ("state", "ends_at", "sentence"),
        [
            (State.ENDED, None, "This subscription has ended and cannot be activated any more."),
            (State.PENDING, NOW, "This subscription has ended and cannot be activated any more."),
            (State.ACTIVE, NOW, "This subscription has ended and cannot be activated any more."),
            (
                State.SUSPENDED,
                None,
                "This subscription is suspended. Only the vendor can resume it.",
            ),
        ],
    )
    def test_refuses_others(
        self, contoso: Tenant, ada: Actor, state: State, ends_at: datetime | None, sentence: str
    ) -> None:
        subscription = make_subscription(tenant=contoso, state=state, ends_at=ends_at)
        assert (
            refusal(lambda: activate_subscription(subscription=subscription, actor=ada, now=NOW))
            == sentence
        )

    def test_looks_at_the_row_as_it_is_now(self, contoso: Tenant, ada: Actor) -> None:
        seen = make_subscription(tenant=contoso, state=State.PENDING)
        end_subscription(subscription=seen, actor=ada, reason="Refunded.", now=NOW)
        assert seen.state == State.PENDING
        assert refusal(lambda: activate_subscription(subscription=seen, actor=ada, now=NOW)) == (
            "This subscription has ended and cannot be activated any more."
        )


class TestRename:
    def test_changes_the_name_only(self, contoso: Tenant, ada: Actor) -> None:
        subscription = make_subscription(tenant=contoso, name="Old")
        before = row(subscription)
        returned = rename_subscription(subscription=subscription, actor=ada, name="Größe 大")
        assert (row(subscription), returned.name) == (before | {"name": "Größe 大"}, "Größe 大")
        [entry] = log()
        told = (entry["action"], entry["subscription_name"], entry["details"])
        changes = {"before": {"name": "Old"}, "after": {"name": "Größe 大"}}
        assert told == ("subscription.renamed", "Größe 大", changes)

    def test_to_the_same_name_tells_nothing(self, contoso: Tenant, ada: Actor) -> None:
        subscription = make_subscription(tenant=contoso, name="Same")
        assert rename_subscription(subscription=subscription, actor=ada, name="Same").name == "Same"
        assert log() == []


class TestStanding:
    """Suspend, resume and end_subscription, from each stored state."""

    FLOWS = {
        "suspend": suspend_subscription,
        "resume": resume_subscription,
        "end": end_subscription,
    }
    PENDING, ACTIVE, SUSPENDED, ENDED = State.values
    AFTER = {
        ("suspend", ACTIVE): SUSPENDED,
        ("resume", SUSPENDED): ACTIVE,
        ("end", PENDING): ENDED,
        ("end", ACTIVE): ENDED,
        ("end", SUSPENDED): ENDED,
    }
    SAME = {("suspend", SUSPENDED), ("resume", ACTIVE), ("end", ENDED)}
    WANTED = {"suspend": SUSPENDED, "resume": ACTIVE, "end": ENDED}

    @pytest.mark.parametrize("state", State.values)
    @pytest.mark.parametrize("flow", FLOWS)
    def test_moves_returns_or_refuses(
        self, contoso: Tenant, ada: Actor, flow: str, state: str
    ) -> None:
        subscription = make_subscription(tenant=contoso, state=State(state), name="Production")
        before = row(subscription)

        def act() -> Subscription:
            return self.FLOWS[flow](subscription=subscription, actor=ada, reason="Late.", now=NOW)

        after = self.AFTER.get((flow, state))
        if after is None and (flow, state) not in self.SAME:
            assert refusal(act) == (
                f"This subscription is {state}; it cannot become {self.WANTED[flow]}."
            )
            return
        assert act().state == self.WANTED[flow]
        if after is None:
            assert (row(subscription), log()) == (before, [])
            return
        why = {"state_since": NOW, "state_reason": "Late."}
        assert row(subscription) == before | {"state": after} | why
        assert log() == [
            {
                "at": NOW,
                "actor_name": "Ada",
                "action": "subscription.changed",
                "subscription_name": "Production",
                "reason": "Late.",
                "details": {"before": {"state": state}, "after": {"state": after}},
            }
        ]
        act()
        assert (row(subscription)["state"], len(log())) == (after, 1)


class TestStartCommunity:
    def test_makes_an_active_subscription(self, contoso: Tenant, ada: Actor) -> None:
        started = start_community_subscription(tenant=contoso, actor=ada, now=NOW)
        values = row(started)
        del values["created_at"]
        assert values == {
            "id": started.pk,
            "tenant_id": contoso.pk,
            "plan_id": Plan.objects.get(code="community").pk,
            "name": "Community",
            "state": "active",
            "starts_at": NOW,
            "ends_at": None,
            "beneficiary_tenant_id": contoso.pk,
            "beneficiary_object_id": ada.user_id,
            "beneficiary_email": "owner@contoso.example",
            "activated_at": NOW,
            "activated_by_id": ada.user_id,
            "is_self_started": True,
            "state_since": None,
            "state_reason": "",
            "labels": "",
            "note": "",
        }
        [entry] = log()
        told = (entry["at"], entry["action"], entry["subscription_name"])
        assert told == (NOW, "subscription.started", "Community")

    def test_is_refused_the_second_time_even_when_the_first_has_ended(
        self, contoso: Tenant, ada: Actor
    ) -> None:
        first = start_community_subscription(tenant=contoso, actor=ada, now=NOW)
        end_subscription(subscription=first, actor=ada, reason="Refunded.", now=NOW)
        assert refusal(
            lambda: start_community_subscription(tenant=contoso, actor=ada, now=NOW + DAY)
        ) == (
            "Your tenant has started its free community subscription already. You find it in the "
            "list of subscriptions."
        )

    def test_does_not_count_those_that_were_not_self_started(
        self, contoso: Tenant, fabrikam: Tenant, ada: Actor
    ) -> None:
        make_subscription(tenant=contoso, plan="community")
        start_community_subscription(tenant=fabrikam, actor=ada, now=NOW)
        assert start_community_subscription(tenant=contoso, actor=ada, now=NOW).is_self_started
        assert Subscription.objects.count() == 3

    def test_is_refused_when_the_plan_is_not_offered(self, contoso: Tenant, ada: Actor) -> None:
        Plan.objects.filter(code="community").update(is_offered=False)
        assert refusal(
            lambda: start_community_subscription(tenant=contoso, actor=ada, now=NOW)
        ) == ("The free community plan is not offered at present.")


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def outcomes(self, act: Callable[[], object]) -> Counter[str]:
        return Counter(type(outcome).__name__ for outcome in race(act, RACERS))

    def test_one_community_subscription_is_started(self, contoso: Tenant, ada: Actor) -> None:
        outcomes = self.outcomes(lambda: start_community_subscription(tenant=contoso, actor=ada))
        assert outcomes == {"Subscription": 1, "Refused": RACERS - 1}
        assert (Subscription.objects.count(), len(log())) == (1, 1)

    def test_an_activation_is_told_once(self, contoso: Tenant, ada: Actor) -> None:
        subscription = make_subscription(tenant=contoso, state=State.PENDING)
        outcomes = self.outcomes(
            lambda: activate_subscription(subscription=subscription, actor=ada)
        )
        assert outcomes == {"Subscription": RACERS}
        assert [entry["action"] for entry in log()] == ["subscription.activated"]


def test_a_subscription_past_its_end_is_not_suspended(contoso: Tenant) -> None:
    past = make_subscription(tenant=contoso, starts_at=NOW - 2 * DAY, ends_at=NOW)
    before, actor = row(past), Actor(kind=ActorKind.OPERATOR, name="Oona")
    moments = {"at": NOW, "before": NOW - DAY / 24}
    with pytest.raises(Refused) as refusal:
        suspend_subscription(subscription=past, actor=actor, reason="-", now=moments["at"])
    assert refusal.value.sentence == "This subscription has ended; it cannot be suspended."
    assert (row(past), log()) == (before, [])
    suspended = suspend_subscription(
        subscription=past, actor=actor, reason="-", now=moments["before"]
    )
    assert suspended.state == State.SUSPENDED
