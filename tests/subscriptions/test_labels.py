"""Labels and a note: who writes them, in which form they are kept, and that they are found."""

import pytest
from django.urls import reverse

from portal.activity.models import LogEntry
from portal.core.names import CONTROLS
from subscriptions.models import Subscription
from tests.support.answers import messages_of, refusals
from tests.support.factories import make_subscription


@pytest.fixture
def subscription(contoso) -> Subscription:
    return make_subscription(tenant=contoso, name="Field tools")


def url(subscription: Subscription) -> str:
    return reverse("subscriptions:annotate", args=[subscription.pk])


def kept(subscription: Subscription) -> tuple[str, str]:
    subscription.refresh_from_db()
    return subscription.labels, subscription.note


def test_they_are_kept_tidy_and_recorded_once(manager_client, subscription):
    posted = {
        "labels": " Berlin,  production\nBERLIN,, team  a ",
        "note": "Ask Dana. \r\n\r\nLater",
    }
    answer = manager_client.post(url(subscription), posted)
    assert messages_of(answer) == ["Labels and note were saved."]
    wanted = ("Berlin, production, team a", "Ask Dana.\n\nLater")
    assert kept(subscription) == wanted
    assert subscription.label_list == ["Berlin", "production", "team a"]
    manager_client.post(url(subscription), dict(zip(("labels", "note"), wanted, strict=True)))
    row = LogEntry.objects.get()
    assert (row.action, row.actor_name) == ("subscription.changed", "Manager")
    assert row.details == {
        "before": {"labels": "", "note": ""},
        "after": {"labels": wanted[0], "note": wanted[1]},
    }


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        (
            {"labels": "x" * 31},
            f"“{'x' * 30}”: Use at most 30 characters; this has 31.",
        ),
        (
            {"labels": ",".join(map(str, range(11)))},
            "Use at most 10 labels; these are 11.",
        ),
        ({"labels": "a\x01b"}, f"“a\x01b”: {CONTROLS}"),
        ({"note": "x" * 1001}, "Use at most 1000 characters; this has 1001."),
        ({"note": "x\n" * 501}, "Use at most 1000 characters; this has 1001."),
        ({"note": "a\x01b"}, CONTROLS),
    ],
)
def test_what_is_wrong_is_said(posted, sentence, manager_client, subscription):
    answer = manager_client.post(url(subscription), posted)
    assert (answer.status_code, refusals(answer)) == (422, [sentence])
    assert (kept(subscription), LogEntry.objects.count()) == (("", ""), 0)


def test_the_longest_labels_fit(manager_client, subscription):
    labels = [f"{number:030}" for number in range(10)]
    manager_client.post(url(subscription), {"labels": ",".join(labels)})
    assert kept(subscription)[0] == ", ".join(labels)


def test_the_page_shows_them_and_the_list_finds_by_them(manager_client, contoso, subscription):
    make_subscription(tenant=contoso)
    manager_client.post(url(subscription), {"labels": "Zürich, <b>", "note": "Room 7\nask Dana"})
    html = manager_client.get(subscription.get_absolute_url()).content.decode()
    assert html.count("?q=Z%C3%BCrich") == html.count(">Zürich</a>") == 1
    assert html.count("&lt;b&gt;</a>") == html.count("Room 7\nask Dana") == 1
    for text in ("zürich", "ROOM", "dana"):
        rows = manager_client.get("/subscriptions/", {"q": text}).context["page"].rows
        assert [row.name for row in rows] == ["Field tools"]
