"""The log as members read it: filtered, in pages, as CSV; and fast however long it is."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.dates import OUT_OF_RANGE
from portal.tenants.forms import MAX_SUBSCRIPTIONS
from portal.web.paging import Position
from tests.support.answers import HTMX, shape
from tests.support.database import as_owner, copies, later, plan_of
from tests.support.factories import make_subscription
from tests.support.people import member_actor

LOGS, EXPORT = "/logs/", "/logs/export/"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def add_row(tenant, *, actor=SYSTEM, action=Action.SUBSCRIPTION_RENAMED, day=0, **fields):
    at = START + timedelta(days=day)
    with transaction.atomic():
        return record(actor=actor, action=action, tenant_id=tenant.pk, now=at, **fields)


def seqs(answer):
    return [entry.seq for entry in answer.context["page"].rows]


@pytest.fixture
def subscription(contoso):
    return make_subscription(tenant=contoso, name="Shop")


@pytest.fixture
def rows(contoso, fabrikam, owner, manager, subscription):
    add_row(contoso, actor=member_actor(owner), day=0)
    add_row(contoso, actor=member_actor(manager), day=1, subscription=subscription, slot="primary")
    add_row(contoso, action=Action.KEYS_DELETED, day=2, subscription=subscription)
    add_row(fabrikam, actor=member_actor(owner), day=1)


def test_the_newest_comes_first_and_nothing_of_others(rows, viewer_client):
    answer = viewer_client.get(LOGS)
    assert seqs(answer) == [3, 2, 1]
    assert shape(answer) == (200, "page", "Logs")
    assert shape(viewer_client.get(LOGS, headers=HTMX)) == (200, "fragment", "")


def test_rows_that_say_the_same_are_shown_as_one(viewer_client, contoso, owner, manager):
    shop, lab = (make_subscription(tenant=contoso, name=name) for name in ("Shop", "Lab"))
    check = {"action": Action.KEY_CHECKED, "result": "valid", "actor": member_actor(owner)}
    told = [
        *({**check, "subscription": shop, "slot": slot} for slot in ("primary", "secondary") * 2),
        {**check, "subscription": lab, "slot": "primary"},
        {**check, "subscription": lab, "slot": "primary", "result": "expired"},
        *({**check, "actor": member_actor(manager)} for _ in range(2)),
        *({**check, "slot": "primary"} for _ in range(3)),
    ]
    for day, fields in enumerate(told):
        add_row(contoso, day=day, **fields)
    answer = viewer_client.get(LOGS)
    shown = [(same.what, len(same.entries), same.subscriptions) for same in answer.context["rows"]]
    assert shown == [
        ("Primary license key checked", 3, 0),
        *[("License key checked", 1, 0)] * 2,
        ("Primary license key checked", 1, 1),
        ("License key checked", 5, 2),
    ]
    html = answer.content.decode()
    assert [html.count(text) for text in ("× 3", "× 5", "2 subscriptions", ">since")] == [
        1,
        1,
        1,
        2,
    ]
    assert html.count("<dt>Network address</dt>") == len(told)


def test_filters(rows, viewer_client, owner, subscription):
    def found(**query):
        return seqs(viewer_client.get(LOGS, query))

    assert found(person=owner.pk) == [1]
    assert found(action="license_keys.deleted") == [3]
    assert found(subscription=subscription.pk) == [3, 2]
    assert found(since="2026-01-02") == [3, 2]
    assert found(until="2026-01-02") == [2, 1]
    assert found(since="2026-01-02", until="2026-01-02") == [2]
    assert found(subscription=subscription.pk, action="license_keys.deleted") == [3]
    assert found(person=uuid4()) == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("person", "x", "Enter a valid UUID."),
        ("subscription", "nowhere", "No subscription has this name or identifier."),
        ("since", "tomorrow", "Enter a valid date."),
    ],
)
def test_what_is_not_understood_finds_nothing_and_says_so(
    name, value, sentence, rows, viewer_client
):
    answer = viewer_client.get(LOGS, {name: value})
    assert seqs(answer) == []
    assert answer.context["form"].errors == {name: [sentence]}
    assert viewer_client.get(EXPORT, {name: value}).status_code == 422


def test_the_filter_takes_a_part_of_a_name_too(rows, viewer_client, subscription, fabrikam):
    make_subscription(tenant=fabrikam, name=subscription.name)
    part = subscription.name[1:-1].upper()
    assert seqs(viewer_client.get(LOGS, {"subscription": part})) == [3, 2]
    assert seqs(viewer_client.get(LOGS, {"subscription": str(subscription.pk)[:13]})) == [3, 2]


def test_a_part_of_too_many_names_asks_for_more_of_it(rows, viewer_client, contoso):
    for number in range(MAX_SUBSCRIPTIONS + 1):
        make_subscription(tenant=contoso, name=f"Lab {number}")
    answer = viewer_client.get(LOGS, {"subscription": "lab"})
    assert answer.context["form"].errors == {
        "subscription": ["More than 20 subscriptions match. Enter more of the name."]
    }
    assert seqs(answer) == []


def test_the_log_of_a_strangers_subscription_does_not_exist(rows, viewer_client, fabrikam):
    theirs = make_subscription(tenant=fabrikam)
    for address in (LOGS, EXPORT):
        answers = [viewer_client.get(address, {"subscription": pk}) for pk in (theirs.pk, uuid4())]
        assert [answer.status_code for answer in answers] == [404, 404]


def test_people_are_members_and_whoever_is_chosen(rows, viewer_client, owner, contoso):
    def people(**query):
        return [
            str(label)
            for _, label in viewer_client.get(LOGS, query)
            .context["form"]["person"]
            .field.widget.choices
        ]

    assert people() == ["Everybody", "Manager", "Owner", "Viewer"]
    contoso.memberships.filter(user=owner).delete()
    assert people() == ["Everybody", "Manager", "Viewer"]
    assert people(person=owner.pk) == ["Everybody", "Manager", "Viewer", "Owner"]
    assert people(person=uuid4()) == ["Everybody", "Manager", "Viewer", "Nobody"]
    assert people(person="x") == ["Everybody", "Manager", "Viewer", "Nobody"]


def test_a_person_of_another_tenant_is_nobody_here(rows, viewer_client, stranger, fabrikam):
    add_row(fabrikam, actor=member_actor(stranger))
    choices = viewer_client.get(LOGS, {"person": stranger.pk}).context["form"]["person"].field
    assert choices.widget.choices[-1] == (str(stranger.pk), "Nobody")


def test_pages_walk_the_log_forth_and_back(contoso, viewer_client):
    for number in range(60):
        add_row(contoso, day=number // 20)
    first = viewer_client.get(LOGS)
    second = viewer_client.get(LOGS, {"after": str(first.context["page"].older)})
    third = viewer_client.get(LOGS, {"after": str(second.context["page"].older)})
    assert seqs(first) + seqs(second) + seqs(third) == list(range(60, 0, -1))
    again = viewer_client.get(LOGS, {"before": str(third.context["page"].newer)})
    assert seqs(again) == seqs(second)


@pytest.mark.parametrize(
    "position",
    ["x", "WzEsMl0=", str(Position(START, UUID(int=2**127))), str(Position(START, 10**30))],
)
def test_a_position_of_something_else_breaks_nothing(position, rows, viewer_client):
    for side in ("after", "before"):
        assert viewer_client.get(LOGS, {side: position}).status_code == 200


# CSV


def test_the_link_to_the_export_follows_the_filter(rows, viewer_client):
    link = f'href="{EXPORT}?action=license_keys.deleted"'
    page = viewer_client.get(LOGS, {"action": "license_keys.deleted"}).content.decode()
    assert (page.count(link), page.count("hx-swap-oob")) == (1, 0)
    fragment = viewer_client.get(LOGS, {"action": "license_keys.deleted"}, headers=HTMX)
    assert fragment.content.decode().count(link) == 1
    assert fragment.content.decode().count("hx-swap-oob") == 1


def exported(client, **query):
    answer = client.get(EXPORT, query)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_export_holds_what_the_filter_finds(rows, viewer_client, subscription, manager):
    assert [row["number"] for row in exported(viewer_client)] == ["3", "2", "1"]
    [row] = exported(viewer_client, person=manager.pk)
    assert row == {
        "time_utc": "2026-01-02T12:00:00.000+00:00",
        "number": "2",
        "actor_kind": "member",
        "actor_name": "Manager",
        "actor_email": "manager@contoso.example",
        "action": "subscription.renamed",
        "what": "Primary subscription renamed",
        "subscription_id": str(subscription.pk),
        "subscription_name": "Shop",
        "slot": "primary",
        "result": "",
        "reason": "",
        "details": "",
        "address": "",
    }


def test_no_cell_of_the_export_is_a_formula(contoso, viewer_client):
    subscription = make_subscription(tenant=contoso, name='=HYPERLINK("https://evil.example")')
    add_row(contoso, subscription=subscription, reason="-1+1")
    [row] = exported(viewer_client)
    assert row["subscription_name"] == '\'=HYPERLINK("https://evil.example")'
    assert row["reason"] == "'-1+1"


def test_the_export_is_streamed(contoso, viewer_client):
    add_row(contoso)
    assert viewer_client.get(EXPORT).streaming


# Plans


def make_many(tenant, count, subscriptions):
    """Make rows, ten a second: of 5 actions, 10 people and 10 subscriptions."""
    for number in range(10):
        first = LogEntry.objects.create(
            tenant_id=tenant.pk,
            seq=number + 1,
            at=START,
            actor_kind="system",
            actor_id=UUID(int=number),
            actor_name="System",
            action=list(Action)[number % 5],
            subscription_id=subscriptions[number].pk,
            previous="",
            hash="",
        )
        copies(first, count // 10 - 1, seq="seq + 10 * n", at=later("at", "n"))


FAULTS = {"sqlite": r"^ *SCAN .*|^USE TEMP B-TREE.*", "postgresql": r".*Seq Scan.*|.*Sort.*"}


def plan_of_page(client, query):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(LOGS, query).status_code == 200
    [sql] = [
        found["sql"]
        for found in captured
        if '"previous"' in found["sql"] and "LIMIT 26" in found["sql"]
    ]
    return plan_of(sql)


@pytest.mark.sweep
def test_no_page_of_100000_rows_reads_what_lies_before_it(contoso, fabrikam, viewer_client):
    subscriptions = [make_subscription(tenant=contoso) for _ in range(10)]
    make_many(contoso, 100_000, subscriptions)
    make_many(fabrikam, 10_000, subscriptions)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    middle = str(Position(START + timedelta(seconds=5_000), 50_000))
    day = {"since": "2026-01-01", "until": "2026-01-01"}
    for narrowed in (
        {},
        {"person": UUID(int=3)},
        {"action": "subscription.renamed"},
        {"subscription": subscriptions[3].pk},
    ):
        for place in ({}, {"after": middle}, {"before": middle}):
            for days in ({}, day):
                query = narrowed | place | days
                plan = plan_of_page(viewer_client, query)
                assert re.findall(FAULTS[connection.vendor], plan, re.MULTILINE) == [], plan
                assert "log_entry_by_" in plan
    # The control: without the order of an index there is something to find.
    with CaptureQueriesContext(connection) as captured:
        list(LogEntry.objects.for_tenant(contoso.pk).order_by("actor_name")[:26])
    plan = plan_of(captured[0]["sql"])
    assert re.findall(FAULTS[connection.vendor], plan, re.MULTILINE) != []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"until": "9999-12-31"}, OUT_OF_RANGE),
        ({"since": "0001-01-01"}, OUT_OF_RANGE),
        ({"until": "31.12.2027"}, "Enter a valid date."),
        ({"subscription": "nowhere"}, "No subscription has this name or identifier."),
    ],
)
def test_a_filter_that_is_not_understood_is_refused(query, sentence, viewer_client):
    response = viewer_client.get(EXPORT, query)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert viewer_client.get(LOGS, query).status_code == 200
