"""How many queries a page costs, and that none of them grows with what lies before it."""

import re
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from licenses.models import KeyState, License, LicenseKey, Slot
from licenses.web.triage import overview
from portal.tenants.models import Tenant
from portal.web.paging import KeysetPage, Position, keyset_page
from subscriptions.models import Plan, State, Subscription
from tests.support.answers import HTMX
from tests.support.database import as_owner, copies, later, numbered_uuid, plan_of
from tests.support.factories import make_key, make_license, make_subscription

LIST = "/subscriptions/"
START = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 100_000
LICENSED = 10_000
QUERIES_OF_LIST = 7
"""Three of every page (session, user, member; once a minute when the session was last seen), the
number of the tenant's log rows, at which the counts are remembered, the rows, their keys, what
they need. One
subscription alone is read once more, for the first visit."""
QUERIES_OF_DETAIL = 10
"""The three; subscription, license, overlapping keys, current keys, events, two for its badges."""


def cost(client: Client, address: str, **headers: Any) -> int:
    client.get(address)  # what a session writes once, such as when it was last seen
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address, **headers).status_code == 200
    return len(captured)


# Counts


@pytest.mark.parametrize("rows", [2, 25])
def test_the_list_costs_the_same_at_any_length(rows, owner_client, contoso, signing_key):
    for _ in range(rows):
        make_license(subscription=make_subscription(tenant=contoso))
    assert len(owner_client.get(LIST).context["page"].rows) == rows
    assert cost(owner_client, LIST) == QUERIES_OF_LIST


def make_history(license: Any, keys: int) -> None:
    """Add replaced keys to the primary slot, each with its row in the log, and one overlap."""
    key = license.keys.get(slot=Slot.PRIMARY)
    jtis = [uuid4() for _ in range(keys)]
    LicenseKey.objects.bulk_create(
        LicenseKey(
            tenant_id=license.tenant_id,
            license=license,
            signing_key=key.signing_key,
            slot=key.slot,
            state=KeyState.REPLACED,
            jti=jti,
            token=key.token,
            token_sha256=key.token_sha256,
            issued_at=key.issued_at,
            expires_at=key.expires_at,
            replaced_at=key.issued_at,
            status_list=key.status_list,
            status_index=100_000 + number,
            created_by_name="Factory",
        )
        for number, jti in enumerate(jtis)
    )
    make_key(license=license, state=KeyState.SUPERSEDED)


@pytest.mark.parametrize("historic", [2, 40])
def test_the_page_costs_the_same_after_any_number_of_resets(
    historic, owner_client, contoso, signing_key
):
    license = make_license(subscription=make_subscription(tenant=contoso))
    make_history(license, historic)
    address = reverse("subscriptions:detail", args=[license.subscription_id])
    assert cost(owner_client, address) == QUERIES_OF_DETAIL
    assert cost(owner_client, address, headers=HTMX) == QUERIES_OF_DETAIL


# Keyset pages


def make_rows(tenant: Tenant, moments: list[datetime]) -> None:
    plan = Plan.objects.get(code="smb-monthly")
    Subscription.objects.bulk_create(
        (
            Subscription(
                tenant=tenant,
                plan=plan,
                name=f"Number {number}",
                state=State.PENDING,
                beneficiary_tenant_id=tenant.pk,
                starts_at=START,
                created_at=moment,
            )
            for number, moment in enumerate(moments)
        ),
        batch_size=2000,
    )


MOMENTS = {
    "all different": [START + timedelta(seconds=n) for n in range(23)],
    "all equal": [START] * 23,
    "some equal": [START + timedelta(microseconds=n // 7) for n in range(23)],
    "exactly whole pages": [START + timedelta(seconds=n) for n in range(20)],
    "one page": [START + timedelta(seconds=n) for n in range(5)],
    "none": [],
}


def forth(rows: Any) -> Iterator[KeysetPage[Subscription]]:
    page = keyset_page(rows, size=5)
    yield page
    while page.older:
        page = keyset_page(rows, after=str(page.older), size=5)
        yield page


@pytest.mark.parametrize("moments", MOMENTS.values(), ids=MOMENTS)
def test_pages_walk_all_rows_once_forth_and_back(moments, contoso, fabrikam):
    make_rows(contoso, moments)
    make_rows(fabrikam, moments)
    rows = Subscription.objects.for_tenant(contoso)
    expected = [*rows.order_by("-created_at", "-id")]
    pages = [*forth(rows)]
    assert [row for page in pages for row in page.rows] == expected
    assert [page.newer is None for page in pages] == [n == 0 for n in range(len(pages))]
    assert {len(page.rows) for page in pages[:-1]} <= {5}
    back = [pages[-1]]
    while back[-1].newer:
        back.append(keyset_page(rows, before=str(back[-1].newer), size=5))
    assert [page.rows for page in reversed(back)] == [page.rows for page in pages]
    assert [page.older is None for page in back] == [n == 0 for n in range(len(back))]


def test_the_links_of_the_list_walk_it(viewer_client, contoso):
    make_rows(contoso, [START] * 60)
    first = viewer_client.get(LIST).context["page"]
    second = viewer_client.get(LIST, {"after": str(first.older)}).context["page"]
    third = viewer_client.get(LIST, {"after": str(second.older)}).context["page"]
    again = viewer_client.get(LIST, {"before": str(third.newer)}).context["page"]
    assert [len(page.rows) for page in (first, second, third)] == [25, 25, 10]
    assert len({row.pk for page in (first, second, third) for row in page.rows}) == 60
    assert again.rows == second.rows


def test_a_page_keeps_its_place_when_rows_come_and_go(contoso):
    make_rows(contoso, [START + timedelta(seconds=n) for n in range(15)])
    rows = Subscription.objects.for_tenant(contoso)
    first, second, _ = forth(rows)
    rows.filter(pk=first.rows[-1].pk).delete()
    make_rows(contoso, [START + timedelta(days=1)])
    assert keyset_page(rows, after=str(first.older), size=5).rows == second.rows


def test_a_position_is_read_back_as_it_was():
    position = Position(START + timedelta(microseconds=1), UUID(int=7))
    assert Position.parse(str(position)) == position


# Plans, at a size where a scan would be slow


@pytest.fixture
def many(contoso: Tenant, signing_key: Any) -> Tenant:
    """Contoso with 100,000 subscriptions, a thousand at each moment."""
    make_rows(contoso, [START])
    pattern = Subscription.objects.for_tenant(contoso).get()
    copies(
        pattern,
        MANY - 1,
        id=numbered_uuid("CAST(n AS bigint) * 1000003"),
        created_at=later("created_at", "n / 1000"),
        name="'Number ' || n",
    )
    make_keys(Subscription.objects.for_tenant(contoso).order_by("-created_at")[:LICENSED])
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return contoso


def make_keys(subscriptions: Iterable[Subscription]) -> None:
    """Give every subscription a license with two keys, copies of one that is really signed."""
    pattern = make_license()
    copies = []
    for subscription in subscriptions:
        copies.append(copy(pattern))
        copies[-1].pk = copies[-1].authorized_application_id = uuid4()
        copies[-1].subscription, copies[-1].tenant_id = subscription, subscription.tenant_id
    License.objects.bulk_create(copies, batch_size=2000)
    keys = []
    for number, (license, key) in enumerate(product(copies, pattern.keys.all())):
        keys.append(copy(key))
        keys[-1].pk, keys[-1].jti, keys[-1].status_index = None, uuid4(), 100_000 + number
        keys[-1].license, keys[-1].tenant_id = license, license.tenant_id
    LicenseKey.objects.bulk_create(keys, batch_size=2000)


def plan_of_rows(read: Callable[[], Any]) -> str:
    """Return the plan of the query in `read` that reads subscriptions row by row."""
    with CaptureQueriesContext(connection) as captured:
        read()
    read_rows = [found["sql"] for found in captured if '."labels", ' in found["sql"]]
    return plan_of(read_rows[-1])  # those that the list begins with are read before, by their keys


FAULTS = {
    "sqlite": r"^ *SCAN .*|^USE TEMP B-TREE.*",
    "postgresql": r".*Seq Scan on (?!subscriptions_plan\b).*|.*Sort Key: subscriptions_.*",
}


def faults(plan: str) -> list[str]:
    """Return where a plan reads a whole table, that of plans excepted, or sorts subscriptions."""
    return re.findall(FAULTS[connection.vendor], plan, re.MULTILINE)


MIDDLE = str(Position(START + timedelta(seconds=50), UUID(int=2**127)))
DEEP = str(Position(START + timedelta(seconds=1), UUID(int=2**127)))


@pytest.mark.sweep
@pytest.mark.slow
def test_no_page_of_100000_reads_what_lies_before_it(many, viewer_client):
    for query in ({}, {"after": MIDDLE}, {"before": MIDDLE}, {"after": DEEP}, {"before": DEEP}):
        plan = plan_of_rows(partial(viewer_client.get, LIST, query))
        assert faults(plan) == [], f"{query}\n{plan}"
        # Where everything is one tenant's, PostgreSQL may take the index of all tenants.
        [search] = re.findall(r".*subscription_(?:listing|by_creation).*", plan)
        bounds = re.findall(r"created_at ?([<>])", search)
        assert bounds == [{"after": "<", "before": ">"}[side] for side in query], plan
    filtered = {"state": "pending", "after": DEEP}
    assert faults(plan_of_rows(lambda: viewer_client.get(LIST, filtered))) == []
    for sort in ("name", "-name"):
        plan = plan_of_rows(partial(viewer_client.get, LIST, {"sort": sort}))
        assert faults(plan) == [], f"{sort}\n{plan}"
    # The control: without the order of the index there is something to find.
    by_end = Subscription.objects.for_tenant(many).order_by("ends_at", "name")[:25]
    assert faults(plan_of_rows(lambda: list(by_end))) != []


@pytest.mark.sweep
@pytest.mark.slow
def test_the_counts_of_100000_read_a_bounded_number_of_rows(many):
    with CaptureQueriesContext(connection) as captured:
        found = overview(many)
    assert (str(found.counts[""]), str(found.counts["pending"])) == ("5,000+", "5,000+")
    [sql] = [query["sql"] for query in captured if "counted" in query["sql"]]
    plan = plan_of(sql)
    if connection.vendor == "sqlite":
        assert re.findall(r"^ *SCAN (?!\(subquery|counted|CONSTANT).*", plan, re.MULTILINE) == []
        return
    read_whole = re.findall(r"Seq Scan on (?!subscriptions_plan|portal_tenant)(\w+)", plan)
    # All and the pending ones: where every row counts, a limit is reached soonest without an index.
    assert read_whole == ["subscriptions_subscription"] * 2, plan
