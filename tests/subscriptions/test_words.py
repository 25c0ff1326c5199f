"""The words for reading subscriptions."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from subscriptions.models import State, Subscription
from tests.support.factories import make_subscription

pytestmark = pytest.mark.django_db
ID = UUID("3c42d520-a7c1-4c23-aa94-d264fc662b19")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        (str(ID), True),
        (str(ID).upper(), True),
        (ID.hex, True),
        ("3c42", True),
        ("3c42d520-", True),
        ("3c42d520a7c1", True),
        (" 3c42d520-a7c1-4c23-aa94-d264f ", True),
        ("analyt", True),
        ("ANALYTICS", True),
        ("d520", False),
        ("3c43", False),
        (ID.hex + "0", False),
        ("-", False),
        ("%", False),
        ("_hop", False),
    ],
)
def test_a_search_finds_part_of_the_name_or_the_beginning_of_the_identifier(contoso, text, found):
    make_subscription(tenant=contoso, id=ID, name="Shop analytics")
    assert Subscription.objects.matching(text).exists() is found


@pytest.mark.parametrize("stored", State)
@pytest.mark.parametrize("days", [None, -1, 1])
def test_the_effective_state_is_the_same_in_sql_and_in_python(contoso, stored, days):
    now = timezone.now()
    subscription = make_subscription(
        tenant=contoso,
        state=stored,
        starts_at=now - timedelta(days=9),
        ends_at=now + timedelta(days=days) if days else None,
    )
    effective = State.ENDED if days == -1 else stored
    assert subscription.state_at(now) == effective
    assert Subscription.objects.with_state(now).get().effective_state == effective
    assert [s for s in State if Subscription.objects.in_state(s, now).exists()] == [effective]


def test_the_end_date_itself_is_past(contoso):
    now = timezone.now()
    subscription = make_subscription(tenant=contoso, starts_at=now - timedelta(days=1), ends_at=now)
    assert subscription.state_at(now) == State.ENDED
    assert subscription.state_at(now - timedelta(microseconds=1)) == State.ACTIVE
    assert Subscription.objects.with_state(now).get().effective_state == State.ENDED


def test_a_tenant_reads_its_own(contoso, fabrikam):
    make_subscription(tenant=fabrikam)
    own = make_subscription(tenant=contoso)
    assert list(Subscription.objects.for_tenant(contoso)) == [own]
