"""The list, one subscription, activate, rename and the free one, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from licenses.models import License
from portal.activity.models import LogEntry
from portal.core.names import CONTROLS
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.answers import (
    HTMX,
    WHOLE_PAGES,
    events,
    ids,
    messages_of,
    refusals,
    shape,
    vary,
)
from tests.support.factories import make_license, make_subscription

LIST = "/subscriptions/"
START = "/subscriptions/start-community/"
ACTIVE_NOW = "The subscription is active. You can generate its license keys now."


def url(name: str, subscription: Subscription) -> str:
    return reverse(f"subscriptions:{name}", args=[subscription.pk])


def actions() -> list[str]:
    return [*LogEntry.objects.order_by("id").values_list("action", flat=True)]


def names(answer: Any) -> list[str]:
    return [row.name for row in answer.context["page"].rows]


@pytest.fixture
def pending(contoso) -> Subscription:
    return make_subscription(tenant=contoso, name="Field tools", state=State.PENDING)


# Pages and fragments


@pytest.mark.parametrize("headers", WHOLE_PAGES.values(), ids=WHOLE_PAGES)
def test_everything_is_a_page_of_its_own(headers, manager_client, pending):
    addresses = [LIST, url("detail", pending), url("rename", pending)]
    answers = [manager_client.get(address, headers=headers) for address in addresses]
    assert [shape(answer) for answer in answers] == [
        (200, "page", "Subscriptions"),
        (200, "page", "Field tools"),
        (200, "page", "Rename subscription"),
    ]
    for answer in answers:
        assert (answer["Cache-Control"], vary(answer)) == ("no-store", {"HX-Request", "Cookie"})


def test_everything_is_a_fragment_for_htmx(manager_client, pending):
    addresses = [LIST, url("detail", pending), url("rename", pending)]
    answers = [manager_client.get(address, headers=HTMX) for address in addresses]
    assert [shape(answer) for answer in answers] == [
        (200, "fragment", ""),
        (200, "fragment", "Field tools"),
        (200, "fragment", "Rename subscription"),
    ]
    assert [ids(answer)[:1] for answer in answers[:2]] == [["rows"], ["subscription"]]
    for answer in answers:
        assert (answer["Cache-Control"], vary(answer)) == ("no-store", {"HX-Request", "Cookie"})


# The list


def test_the_list_shows_the_own_tenant_newest_first(viewer_client, contoso, fabrikam):
    now = timezone.now()
    for name, tenant, days in [("old", contoso, 9), ("new", contoso, 1), ("foreign", fabrikam, 2)]:
        make_subscription(tenant=tenant, name=name, created_at=now - timedelta(days=days))
    assert names(viewer_client.get(LIST)) == ["new", "old"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "FIELD"}, ["Field tools"]),
        ({"q": " tools "}, ["Lab tools", "Field tools"]),
        ({"q": "nothing"}, []),
        ({"q": "%"}, []),
        ({"q": "<script>"}, []),
        ({"state": "pending"}, ["Field tools"]),
        ({"state": "ended"}, ["Lab tools"]),
        ({"state": "active"}, []),
        ({"q": "lab", "state": "pending"}, []),
    ],
)
def test_the_list_is_searched_and_filtered(query, expected, viewer_client, contoso, pending):
    make_subscription(tenant=contoso, name="Lab tools", ends_at=timezone.now())
    for headers in ({}, HTMX):
        assert names(viewer_client.get(LIST, query, headers=headers)) == expected


@pytest.mark.parametrize("form", [str, lambda pk: str(pk)[:13].upper(), lambda pk: pk.hex[:10]])
def test_the_list_is_searched_by_identifier(form, viewer_client, contoso, pending):
    make_subscription(tenant=contoso)
    assert names(viewer_client.get(LIST, {"q": form(pending.pk)})) == ["Field tools"]


def test_a_foreign_identifier_finds_nothing(stranger_client, pending):
    assert names(stranger_client.get(LIST, {"q": str(pending.pk)})) == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "nonsense"},
        {"q": "x" * 201},
        {"after": "nonsense", "before": "Ww=="},
        {"after": "WzEsMl0="},
        {"after": "bnVsbA=="},
        {"after": "\x00", "q": "\x00"},
    ],
)
def test_nonsense_in_the_address_does_no_harm(query, viewer_client, pending):
    answer = viewer_client.get(LIST, query)
    assert (answer.status_code, names(answer)) == (200, ["Field tools"])


def test_a_tenant_without_subscriptions_is_told_what_to_do(viewer_client, contoso):
    html = viewer_client.get(LIST).content.decode()
    assert html.count("No subscriptions yet") == 1
    assert html.count("Buy one in the shop.") == 1


def test_a_search_without_result_is_not_an_empty_tenant(viewer_client, pending):
    html = viewer_client.get(LIST, {"q": "nothing"}).content.decode()
    assert (html.count("No subscription matches"), html.count("No subscriptions yet")) == (1, 0)


# One subscription


def test_the_page_is_headed_by_the_name_as_text(viewer_client, contoso):
    subscription = make_subscription(tenant=contoso, name="<b>Field</b> & tools")
    answer = viewer_client.get(url("detail", subscription))
    assert shape(answer) == (200, "page", "<b>Field</b> & tools")


def test_the_page_tells_the_latest_five_events_of_this_subscription(
    manager_client, contoso, pending
):
    for turn in range(6):
        manager_client.post(url("rename", pending), {"name": f"Name {turn}"})
    manager_client.post(url("rename", make_subscription(tenant=contoso)), {"name": "Other"})
    events = manager_client.get(url("detail", pending)).context["events"]
    assert [event.details["after"]["name"] for event in events] == [
        f"Name {n}" for n in (5, 4, 3, 2, 1)
    ]


# Activate


def test_activate_leads_back(manager_client, manager, pending):
    answer = manager_client.post(url("activate", pending))
    assert (answer.status_code, answer.url) == (302, url("detail", pending))
    assert messages_of(answer) == [ACTIVE_NOW]
    pending.refresh_from_db()
    assert (pending.state, pending.activated_by) == (State.ACTIVE, manager)
    assert actions() == ["subscription.activated"]


def test_activate_tells_an_htmx_page_by_an_event(manager_client, pending):
    answer = manager_client.post(url("activate", pending), headers=HTMX)
    assert (answer.status_code, ids(answer)) == (200, ["messages"])
    assert events(answer) == ["close-dialog", "subscription-changed"]
    assert (answer["Cache-Control"], vary(answer)) == ("no-store", {"HX-Request", "Cookie"})
    assert answer.content.decode().count(ACTIVE_NOW) == 1


def test_activate_twice_is_one_activation(manager_client, owner_client, manager, pending):
    for client in (manager_client, owner_client):
        assert messages_of(client.post(url("activate", pending))) == [ACTIVE_NOW]
    pending.refresh_from_db()
    assert (pending.activated_by, actions()) == (manager, ["subscription.activated"])


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (State.SUSPENDED, "This subscription is suspended. Only the vendor can resume it."),
        (State.ENDED, "This subscription has ended and cannot be activated any more."),
    ],
)
def test_activate_never_undoes_what_the_vendor_did(state, sentence, owner_client, contoso):
    subscription = make_subscription(tenant=contoso, state=state)
    assert messages_of(owner_client.post(url("activate", subscription))) == [sentence]
    owner_client.get(LIST)  # which shows it
    htmx = owner_client.post(url("activate", subscription), headers=HTMX)
    assert htmx.content.decode().count(sentence) == 1
    subscription.refresh_from_db()
    assert (subscription.state, actions()) == (state, [])


# Rename


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_rename_gives_another_name(headers, manager_client, pending):
    answer = manager_client.post(url("rename", pending), {"name": " Lab "}, headers=headers)
    if headers:
        assert events(answer) == ["close-dialog", "subscription-changed"]
        assert answer.content.decode().count("The subscription was renamed.") == 1
    else:
        assert answer.url == url("detail", pending)
        assert messages_of(answer) == ["The subscription was renamed."]
    pending.refresh_from_db()
    assert pending.name == "Lab"
    assert LogEntry.objects.get().details == {
        "before": {"name": "Field tools"},
        "after": {"name": "Lab"},
    }


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (" ", "Enter a name."),
        ("x" * 201, "Use at most 200 characters; this has 201."),
        ("a\x00b", CONTROLS),
    ],
)
def test_rename_says_what_is_wrong_and_keeps_it(name, sentence, headers, manager_client, pending):
    answer = manager_client.post(url("rename", pending), {"name": name}, headers=headers)
    assert shape(answer) == (422, "fragment" if headers else "page", "Rename subscription")
    assert (refusals(answer), answer.context["form"]["name"].value()) == ([sentence], name)
    assert actions() == []


def test_rename_changes_nothing_else(manager_client, contoso, signing_key):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    before = [License.objects.values().get(), *Subscription.objects.defer("name").values("state")]
    posted = {"name": "Lab", "state": "ended", "plan": "1", "ends_at": "2020-01-01", "id": "x"}
    manager_client.post(url("rename", subscription), posted)
    after = [License.objects.values().get(), *Subscription.objects.defer("name").values("state")]
    assert after == before


# The free one


def test_one_free_subscription_is_started(manager_client, manager, contoso: Tenant):
    answer = manager_client.post(START)
    subscription = Subscription.objects.get()
    assert (answer.status_code, answer.url) == (302, url("detail", subscription))
    assert messages_of(answer) == [
        "Your community subscription is active. You can generate its license keys now."
    ]
    assert (subscription.tenant, subscription.plan.code) == (contoso, "community")
    assert (subscription.state, subscription.is_self_started) == (State.ACTIVE, True)
    assert (subscription.activated_by, actions()) == (manager, ["subscription.started"])


def test_a_second_free_one_is_refused_with_a_sentence(manager_client, owner_client):
    manager_client.post(START)
    answer = owner_client.post(START)
    assert (answer.status_code, answer.url) == (302, LIST)
    assert messages_of(answer) == [
        (
            "Your tenant has started its free community subscription already. You find it in the "
            "list of subscriptions."
        )
    ]
    assert (Subscription.objects.count(), actions()) == (1, ["subscription.started"])


def test_none_is_started_when_none_is_offered(manager_client):
    Plan.objects.filter(code="community").update(is_offered=False)
    assert messages_of(manager_client.post(START)) == [
        "The free community plan is not offered at present."
    ]
    assert not Subscription.objects.exists()


def test_an_htmx_page_is_sent_to_the_new_subscription(manager_client):
    answer = manager_client.post(START, headers=HTMX)
    assert answer["HX-Redirect"] == url("detail", Subscription.objects.get())


@pytest.mark.parametrize(("who", "offered"), [("viewer", 0), ("manager", 1), ("owner", 1)])
def test_the_free_one_is_offered_to_those_who_may_start_it_once(who, offered, request, client_for):
    client = client_for(request.getfixturevalue(who))
    assert client.get(LIST).content.decode().count(f'action="{START}"') == offered
    client.post(START)
    if offered:
        assert client.get(LIST).content.decode().count(f'action="{START}"') == 0
