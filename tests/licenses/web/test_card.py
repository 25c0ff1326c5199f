"""The License Keys card: what it offers in every state to every role, and its words and dates."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import product
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from licenses.checking.badges import badge_in_list, badge_of
from licenses.models import KeyState, License, LicensedSubscriptions, Slot
from licenses.models.subscriptions import read_license_state
from licenses.web import card as cards
from portal.core.dates import days_until
from portal.tenants.models import Role, Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.answers import ids
from tests.support.factories import (
    make_key,
    make_license,
    make_member,
    make_signing_key,
    make_subscription,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BUTTONS = {
    "generate",
    "rename",
    "delete",
    "check",
    "check-presented",
    *(
        f"{action}-{slot}"
        for action in ("download", "check", "claims", "reset", "end-overlap")
        for slot in Slot.values
    ),
}

STATES: dict[str, dict[str, Any]] = {
    "pending": {"state": State.PENDING},
    "active": {"state": State.ACTIVE},
    "active with an end date": {"state": State.ACTIVE, "ends_at": NOW + SECOND},
    "suspended": {"state": State.SUSPENDED},
    "suspended and past its end date": {"state": State.SUSPENDED, "ends_at": NOW},
    "ended": {"state": State.ENDED},
    "past its end date": {"state": State.ACTIVE, "ends_at": NOW},
    "pending past its end date": {"state": State.PENDING, "ends_at": NOW},
}
ACTIVE = {"active", "active with an end date"}
KEYS = ["none", "valid", "expiring", "expired", "revoked", "in an overlap", "plan changed"]
"""What is the matter with the primary key; the secondary one is valid throughout."""
SWEPT = {"expiring", "expired", "revoked", "plan changed"}


def offered(state: str, key: str, role: Role) -> set[str]:
    """Return the buttons that a member of this role may see."""
    manages = role != Role.VIEWER
    buttons = {"rename"} if manages else set()
    if state == "pending" and manages:
        buttons.add("activate")
    if key == "none":
        buttons |= {"generate"} if manages and state in ACTIVE else set()
        return buttons | {"check-presented"}
    buttons |= {"check"} | {
        f"{action}-{slot}" for action in ("check", "claims") for slot in Slot.values
    }
    if state in ACTIVE:
        buttons.add("download-secondary")
        if key not in {"expired", "revoked"}:
            buttons.add("download-primary")
        if manages and key != "plan changed":
            buttons |= {"reset-primary", "reset-secondary"}
    if manages:
        buttons.add("delete")
        if key == "in an overlap":
            buttons.add("end-overlap-primary")
    return buttons


def make_keys(subscription: Subscription, key: str) -> None:
    license = make_license(subscription=subscription, issued_at=NOW - timedelta(days=1))
    primary = license.keys.filter(slot=Slot.PRIMARY)
    if key == "expiring":
        primary.update(expires_at=NOW + SECOND)
    elif key == "expired":
        primary.update(expires_at=NOW)
    elif key == "revoked":
        primary.update(revoked_at=NOW)
    elif key == "in an overlap":
        make_key(license=license, state=KeyState.SUPERSEDED, issued_at=NOW - timedelta(days=2))
    elif key == "plan changed":
        Subscription.objects.update(plan=Plan.objects.get(code="smb-yearly"))


CASES = [
    (state, key)
    for state, key in product(STATES, KEYS)
    if key == "none" or not state.startswith("pending")
]


@pytest.fixture
def clock(db: None) -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.mark.parametrize(
    ("state", "key"),
    [
        pytest.param(*case, marks=[pytest.mark.sweep] * (case[0] != "active" and case[1] in SWEPT))
        for case in CASES
    ],
)
def test_every_role_is_offered_what_the_state_allows(
    state, key, clock, contoso, signing_key_of_may, client_for
):
    subscription = make_subscription(tenant=contoso, **STATES[state])
    if key != "none":
        make_keys(subscription, key)
    address = reverse("subscriptions:detail", args=[subscription.pk])
    activate = f'action="{reverse("subscriptions:activate", args=[subscription.pk])}"'
    for role in Role:
        member = make_member(tenant=contoso, role=role, email=f"{role}@contoso.example")
        answer = client_for(member).get(address)
        shown = BUTTONS & set(ids(answer))
        if activate in answer.content.decode():
            shown.add("activate")
        assert shown == offered(state, key, role), role


@pytest.fixture
def signing_key_of_may(clock: Any) -> Any:
    """A signing key whose certificate was valid before NOW."""
    return make_signing_key(created_at=NOW - timedelta(days=300))


def test_the_cases_are_all_of_them():
    assert len(CASES) == 8 + 6 * 6
    assert len({frozenset(offered(s, k, r)) for (s, k), r in product(CASES, Role)}) == 13


# The badge of a key


def badge(license: License, **changes: Any) -> str:
    primary = license.keys.get(slot=Slot.PRIMARY)
    for name, value in changes.items():
        setattr(primary, name, value)
    return badge_of(primary, license.subscription, NOW).label


@pytest.fixture
def make_issued(contoso: Tenant, signing_key_of_may: Any) -> Callable[[str], License]:
    """Return `make_issued(plan)`: keys of a subscription of that plan."""

    def issued(plan: str) -> License:
        return make_license(
            subscription=make_subscription(tenant=contoso, plan=plan), issued_at=NOW
        )

    return issued


NOTICE = {"smb-yearly": 60, "community": 30, "smb-monthly": 7}


@pytest.mark.parametrize(
    ("plan", "left", "expected"),
    [
        case
        for plan, days in NOTICE.items()
        for case in [
            (plan, timedelta(days=days) + SECOND, ("Valid", "good")),
            (plan, timedelta(days=days), ("Expires soon", "warn")),
            (plan, timedelta(days=days) - SECOND, ("Expires soon", "warn")),
            (plan, SECOND, ("Expires soon", "warn")),
            (plan, timedelta(0), ("Expired", "bad")),
            (plan, -SECOND, ("Expired", "bad")),
        ]
    ],
)
def test_a_key_turns_amber_by_its_plan_and_red_at_its_expiry(plan, left, expected, make_issued):
    license = make_issued(plan)
    primary = license.keys.get(slot=Slot.PRIMARY)
    primary.expires_at = NOW + left
    state = badge_of(primary, license.subscription, NOW)
    assert (state.label, state.tone) == expected


@pytest.mark.parametrize(
    ("state", "changes", "expected"),
    [
        (State.ACTIVE, {"revoked_at": NOW}, "Revoked"),
        (State.ACTIVE, {"revoked_at": NOW, "expires_at": NOW}, "Revoked"),
        (State.SUSPENDED, {}, "Not accepted"),
        (State.ENDED, {}, "Not accepted"),
        (State.SUSPENDED, {"expires_at": NOW}, "Expired"),
        (State.ENDED, {"revoked_at": NOW}, "Revoked"),
    ],
)
def test_what_counts_most_is_on_the_badge(state, changes, expected, make_issued):
    license = make_issued("smb-monthly")
    license.subscription.state = state
    assert badge(license, **changes) == expected


@pytest.mark.parametrize(
    ("secondary", "expected"),
    [
        ({}, "Valid"),
        ({"expires_at": NOW + SECOND}, "Expires soon"),
        ({"revoked_at": NOW}, "1 of 2 valid"),
    ],
)
def test_the_card_shows_the_worse_of_its_two_keys(secondary, expected, make_issued, owner):
    license = make_issued("smb-monthly")
    if secondary:
        license.keys.filter(slot=Slot.SECONDARY).update(**secondary)
    card = cards.license_card(license.subscription, owner.memberships.get(), now=NOW)
    assert card.state.label == expected
    assert [view.slot for view in card.slots] == [Slot.PRIMARY, Slot.SECONDARY]


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=5), 5),
        (timedelta(days=4, seconds=1), 5),
        (timedelta(days=4), 4),
        (SECOND, 1),
        (timedelta(0), 0),
        (-timedelta(days=3), 0),
    ],
)
def test_begun_days_are_counted_whole(left, days):
    assert days_until(NOW + left, NOW) == days


class Text(HTMLParser):
    """Reads the text of a page, blanks made one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.parts += data.split()

    def __str__(self) -> str:
        return " ".join(self.parts)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(days=5), "Expires 6 Jun 2026 (5 days left)"),
        (timedelta(hours=8), "Expires today at 20:00 UTC (8 hours left)"),
        (timedelta(hours=13), "Expires tomorrow at 01:00 UTC (13 hours left)"),
        (timedelta(0), "Expired 1 Jun 2026 (checks passed 5 minutes longer)"),
    ],
)
def test_the_card_says_when_a_key_expires(left, expected, make_issued, viewer_client):
    license = make_issued("smb-monthly")
    license.keys.update(issued_at=NOW - timedelta(days=9), expires_at=NOW + left)
    address = reverse("subscriptions:detail", args=[license.subscription_id])
    text = str(Text(viewer_client.get(address).content.decode()))
    assert text.count(expected) == 2


# Names with braces, from before they were refused


@pytest.mark.parametrize(
    ("role", "advice"),
    [
        (Role.MANAGER, "delete these license keys and generate new ones"),
        (
            Role.VIEWER,
            "a manager or owner of Contoso can delete these license keys and generate new ones",
        ),
    ],
)
def test_the_card_says_to_generate_new_keys_instead_of_those_with_a_brace(
    role, advice, contoso, signing_key, client_for
):
    license = make_license(
        subscription=make_subscription(tenant=contoso), holder_name="Con{toso} & Co"
    )
    client = client_for(make_member(tenant=contoso, role=role, email="a@contoso.example"))
    html = client.get(license.subscription.get_absolute_url()).content.decode()
    assert (
        "Terminals of 2022 crash on these keys: generate new ones The holder's name Con{toso} & "
        "Co has a brace, which ends their process; terminals of 2023 start. A reset keeps the "
        f"name: {advice} with a name without braces, then give the terminals the new file and "
        "authorized application id."
    ) in str(Text(html))


def test_the_card_says_nothing_of_braces_where_there_are_none(contoso, signing_key, viewer_client):
    license = make_license(subscription=make_subscription(tenant=contoso))
    answer = viewer_client.get(license.subscription.get_absolute_url())
    assert (answer.context["card"].crashes_terminals, "braces" in ids(answer)) == (False, False)


def test_suggested_names_come_without_braces(contoso, manager, client_for):
    contoso.name = "{Con}toso {Ltd}"
    contoso.save()
    manager.name = "Milan {0} Novak"
    manager.save()
    subscription = make_subscription(tenant=contoso)
    address = reverse("licenses:generate", args=[subscription.pk])
    form = client_for(manager).get(address).context["form"]
    assert form["holder_name"].value() == "Contoso Ltd"
    assert form.fields["usage"].widget.suggestions == {
        "org": "Contoso Ltd",
        "per": "Milan 0 Novak",
    }


# The badge in a list


def listed(subscription: Subscription) -> str | None:
    rows = LicensedSubscriptions(Subscription).with_state().select_related("plan")
    row = rows.get(pk=subscription.pk)
    read_license_state([row])
    state = badge_in_list(row, NOW)
    return state.label if state else None


def test_the_list_says_none_without_keys(contoso, clock):
    assert listed(make_subscription(tenant=contoso)) is None


@pytest.mark.parametrize(
    ("plan", "left", "expected"),
    [
        case
        for plan, days in NOTICE.items()
        for case in [
            (plan, timedelta(days=days) + SECOND, "Valid"),
            (plan, timedelta(days=days), f"Expires in {days} days"),
            (plan, timedelta(days=1) + SECOND, "Expires in 2 days"),
            (plan, timedelta(days=1), "Expires in 1 day"),
            (plan, timedelta(hours=8), "Expires in 8 hours"),
            (plan, timedelta(0), "1 of 2 valid"),
        ]
    ],
)
def test_the_list_says_when_the_first_key_expires(plan, left, expected, make_issued):
    license = make_issued(plan)
    license.keys.filter(slot=Slot.SECONDARY).update(
        issued_at=NOW - timedelta(days=400), expires_at=NOW + left
    )
    assert listed(license.subscription) == expected


def test_the_list_counts_living_keys_alone(make_issued):
    license = make_issued("smb-monthly")
    make_key(
        license=license,
        state=KeyState.SUPERSEDED,
        issued_at=NOW - timedelta(days=9),
        expires_at=NOW - timedelta(days=1),
    )
    assert listed(license.subscription) == "Valid"
    license.keys.filter(slot=Slot.PRIMARY).update(revoked_at=NOW)
    assert listed(license.subscription) == "1 of 2 valid"
    license.keys.update(revoked_at=NOW)
    assert listed(license.subscription) == "Revoked"
    license.keys.update(
        state=KeyState.DELETED, token=None, deleted_at=NOW, accepted_until=None, replaced_at=None
    )
    License.objects.update(deleted_at=NOW)
    assert listed(license.subscription) is None
