"""Flows go by the row as it is under the lock, whatever the page that led to them had read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.flows.change_plan import change_subscription_plan
from subscriptions.flows.edit import edit_subscription
from subscriptions.flows.extend import extend_subscription
from subscriptions.flows.plans import edit_plan
from subscriptions.flows.rename import rename_subscription
from subscriptions.flows.suspend_resume_end import end_subscription
from subscriptions.models import Plan, Subscription
from tests.support.factories import make_subscription

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WHY: dict[str, Any] = {"actor": SYSTEM, "reason": "They asked."}


@pytest.fixture
def outdated(contoso: Tenant) -> Subscription:
    """An active subscription as somebody has read it, before the test changes it."""
    return make_subscription(tenant=contoso, name="First", plan="smb-monthly")


def details() -> dict[str, Any]:
    return LogEntry.objects.latest("pk").details


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (
            lambda row: extend_subscription(subscription=row, ends_at=timezone.now() + DAY, **WHY),
            "This subscription was ended for good; its end date cannot be moved.",
        ),
        (
            lambda row: change_subscription_plan(
                subscription=row, plan=Plan.objects.get(code="smb-yearly"), **WHY
            ),
            "This subscription has ended; its plan cannot be changed any more.",
        ),
    ],
    ids=["extend", "change plan"],
)
def test_one_that_was_ended_meanwhile_is_refused(
    outdated: Subscription, act: Callable[[Subscription], object], sentence: str
) -> None:
    end_subscription(subscription=outdated, **WHY)
    with pytest.raises(Refused) as caught:
        act(outdated)
    assert caught.value.sentence == sentence


@pytest.mark.parametrize(
    "act",
    [
        lambda row: rename_subscription(subscription=row, name="Third", actor=SYSTEM),
        lambda row: edit_subscription(subscription=row, changes={"name": "Third"}, **WHY),
    ],
    ids=["rename", "edit"],
)
def test_the_log_tells_of_the_name_that_was_there(
    outdated: Subscription, act: Callable[[Subscription], object]
) -> None:
    Subscription.objects.update(name="Second")
    act(outdated)
    assert details() == {"before": {"name": "Second"}, "after": {"name": "Third"}}


def test_the_log_tells_of_the_end_that_was_there(outdated: Subscription) -> None:
    ends, later = timezone.now() + DAY, timezone.now() + 2 * DAY
    Subscription.objects.update(ends_at=ends)
    extend_subscription(subscription=outdated, ends_at=later, **WHY)
    assert details() == {
        "before": {"ends_at": ends.isoformat()},
        "after": {"ends_at": later.isoformat()},
    }


def test_the_log_tells_of_the_plan_that_was_there(outdated: Subscription) -> None:
    Subscription.objects.update(plan=Plan.objects.get(code="micro-monthly"))
    change_subscription_plan(subscription=outdated, plan=Plan.objects.get(code="smb-yearly"), **WHY)
    assert details() == {
        "before": {"plan": "Micro monthly"},
        "after": {"plan": "SMB yearly"},
    }


def test_the_log_tells_of_the_name_that_a_plan_had() -> None:
    outdated = Plan.objects.get(code="smb-monthly")
    Plan.objects.filter(pk=outdated.pk).update(name="Second")
    edit_plan(plan=outdated, changes={"name": "Third"}, **WHY)
    told = details()
    assert (told["before"], told["after"]) == ({"name": "Second"}, {"name": "Third"})
