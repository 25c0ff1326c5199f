"""Rotation on the card: which slot is next and why, the steps after a reset, what is warned of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from licenses.flows.reset import Overlap, reset_key
from licenses.models import CheckCount, License, LicenseKey, Slot
from licenses.web.card import Card, SlotView, license_card
from licenses.web.license_tags import days_of
from portal.core.actors import SYSTEM
from tests.support.answers import ids
from tests.support.factories import make_license, make_signing_key, make_subscription

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def license(contoso) -> Any:
    """Keys of a monthly plan that expire in 5 days."""
    with time_machine.travel(NOW, tick=False):
        make_signing_key(created_at=NOW - timedelta(days=300))
        issued_at = NOW - timedelta(days=26)
        subscription = make_subscription(tenant=contoso)
        yield make_license(subscription=subscription, issued_at=issued_at, created_at=issued_at)


def key_of(license: License, slot: Slot = Slot.PRIMARY) -> LicenseKey:
    return license.keys.current().get(slot=slot)


def checked(key: LicenseKey, result: str = "valid", checks: int = 42, minutes: int = 3) -> None:
    at = NOW - timedelta(minutes=minutes)
    hour = at.replace(minute=0)
    CheckCount.objects.create(
        tenant=key.tenant, license_key=key, hour=hour, result=result, count=checks, last_at=at
    )


def reset(license: License, slot: Slot, overlap: Overlap = Overlap.NOW) -> LicenseKey:
    jti = key_of(license, slot).jti
    return reset_key(license=license, slot=slot, actor=SYSTEM, overlap=overlap, expected_jti=jti)


def card(license: License, owner: Any) -> Card:
    return license_card(license.subscription, owner.memberships.get(), now=NOW)


def view(license: License, owner: Any, slot: Slot = Slot.PRIMARY) -> SlotView:
    return next(view for view in card(license, owner).slots if view.slot == slot)


# Which slot is next


def test_of_two_dying_keys_the_one_that_no_terminal_uses_is_reset_first(license, owner):
    checked(key_of(license))
    shown = card(license, owner)
    assert shown.advice.slot == Slot.SECONDARY
    assert shown.advice.sentence == (
        "Reset the secondary key first: no terminal uses it, so nothing stops meanwhile. Then "
        "reset the primary key."
    )
    assert [view.filled for view in shown.slots] == ["", "reset"]


@pytest.mark.parametrize(
    ("changes", "slot", "sentence"),
    [
        (
            {},
            Slot.PRIMARY,
            "Both keys expire soon. Reset the primary key first, then the secondary key.",
        ),
        (
            {"expires_at": NOW},
            Slot.SECONDARY,
            "Reset the secondary key: it has expired, and terminals with it do not start.",
        ),
        (
            {"revoked_at": NOW},
            Slot.SECONDARY,
            "Reset the secondary key: it is revoked, and terminals with it do not start.",
        ),
        (
            {"expires_at": NOW + timedelta(days=30)},
            Slot.PRIMARY,
            "Download the secondary key, install it and check it; then reset the primary key.",
        ),
    ],
)
def test_the_reason_for_the_next_reset_is_said(changes, slot, sentence, license, owner):
    license.keys.filter(slot=Slot.SECONDARY).update(**changes)
    advice = card(license, owner).advice
    leads_on = sentence.startswith("Download")
    assert (advice.slot, advice.sentence, advice.is_urgent) == (slot, sentence, not leads_on)


def test_good_keys_need_no_reset_and_are_downloaded(license, owner):
    license.keys.update(expires_at=NOW + timedelta(days=20))
    shown = card(license, owner)
    assert shown.advice.sentence == "Nothing needs a reset now. Next is the primary key, from"
    assert shown.advice.due_at == NOW + timedelta(days=13)
    assert [view.filled for view in shown.slots] == ["download", ""]


# The steps after a reset


def test_the_steps_tick_themselves_off_by_what_the_portal_sees(license, owner):
    assert view(license, owner).guide is None
    new = reset(license, Slot.PRIMARY, Overlap.DAY)
    steps = [view(license, owner).guide.now]
    assert card(license, owner).advice.sentence == (
        "Bring the new primary key into use first; then reset the secondary key."
    )
    new.last_downloaded_at = NOW
    new.save(update_fields=["last_downloaded_at"])
    steps.append(view(license, owner).guide.now)
    checked(new, "application_not_authorized", minutes=5)
    steps.append(view(license, owner).guide.now)
    checked(new)
    steps.append(view(license, owner).guide.now)
    assert steps == ["download", "install", "check", "reset"]
    assert [slot.filled for slot in card(license, owner).slots] == ["", "reset"]

    spare = reset(license, Slot.SECONDARY)
    primary, secondary = card(license, owner).slots
    assert (primary.guide, secondary.guide.now) == (None, "download")
    spare.last_downloaded_at = NOW
    spare.save(update_fields=["last_downloaded_at"])
    assert [slot.guide for slot in card(license, owner).slots] == [None, None]


def test_a_key_that_terminals_still_use_is_not_reset_at_the_first_check_of_the_other(
    license, owner
):
    license.keys.update(expires_at=NOW + timedelta(days=25))
    new = reset(license, Slot.SECONDARY)
    LicenseKey.objects.filter(pk=new.pk).update(last_downloaded_at=NOW)
    checked(new)
    checked(key_of(license))
    shown = card(license, owner)
    assert shown.advice.sentence == (
        "The new secondary key is in use. Terminals still use the primary key too (checked 42 "
        "times today, last 3 minutes ago): reset it when they have the new file."
    )
    assert "reset" not in [slot.filled for slot in shown.slots]


def test_after_generate_the_way_to_the_first_terminal_is_shown(license, owner, owner_client):
    License.objects.update(created_at=NOW)
    license.keys.update(issued_at=NOW, expires_at=NOW + timedelta(days=31))
    license.refresh_from_db()

    def shown() -> list[str | None]:
        return [each.guide.now if each.guide else None for each in card(license, owner).slots]

    address = license.subscription.get_absolute_url()
    assert shown() == ["download", None]
    assert "Nothing needs a reset now" not in owner_client.get(address).content.decode()
    license.keys.filter(slot=Slot.SECONDARY).update(last_downloaded_at=NOW)
    assert shown() == [None, "install"]
    assert 'href="#configure"' in owner_client.get(address).content.decode()
    checked(key_of(license, Slot.SECONDARY), "subject_mismatch")
    assert shown() == [None, "check"]
    checked(key_of(license, Slot.PRIMARY))
    assert shown() == [None, None]
    assert "Nothing needs a reset now" in owner_client.get(address).content.decode()


def test_the_next_round_is_led_again(license, owner):
    """A reset that is half a life old is of the round before."""
    reset(license, Slot.SECONDARY)
    license.keys.current().filter(slot=Slot.SECONDARY).update(issued_at=NOW - timedelta(days=20))
    reset(license, Slot.PRIMARY)
    assert not view(license, owner).guide.is_other_reset


# Warnings


def test_an_old_key_that_stopped_and_is_still_asked_for_is_warned_of(license, owner_client):
    old = key_of(license)
    address = license.subscription.get_absolute_url()
    reset(license, Slot.PRIMARY)
    assert "refused-primary" not in ids(owner_client.get(address))
    LicenseKey.objects.filter(pk=old.pk).update(replaced_at=NOW - timedelta(hours=1))
    checked(old, "replaced")
    answer = owner_client.get(address)
    shown = answer.context["card"].slots[0]
    assert shown.old_refusals == "42 checks were refused, the last 3 minutes ago."
    need = answer.context["need"]
    assert (need.kind, need.action.label) == ("old_key", "Download Primary")
    assert need.sentence.startswith("It stopped working on 1 Jun 2026 at 11:00 UTC. 42 checks were")
    [refusal] = shown.refusals.each
    assert (refusal.result, refusal.is_old, refusal.times) == ("replaced", True, "42 times")
    assert "refused-primary" in ids(answer)
    assert need.result == "replaced"


def test_the_only_key_in_use_is_not_reset_without_a_warning(license, owner_client):
    checked(key_of(license))
    addresses = [reverse("licenses:reset", args=[license.subscription_id, slot]) for slot in Slot]

    def shown():
        pages = [owner_client.get(address).context for address in addresses]
        return [(page["use"], page["is_only"], page["form"]["overlap"].value()) for page in pages]

    use = "checked 42 times today, last 3 minutes ago"
    assert shown() == [(use, True, "expiry"), ("", False, "now")]
    checked(key_of(license, Slot.SECONDARY))
    assert shown() == [(use, False, "expiry"), (use, False, "expiry")]


def test_what_a_deletion_stops_is_said(license, owner_client):
    address = reverse("licenses:delete", args=[license.subscription_id])
    assert owner_client.get(address).context["uses"] == []
    old = key_of(license)
    reset(license, Slot.PRIMARY, Overlap.WEEK)
    checked(old, "superseded", checks=7)
    checked(key_of(license, Slot.SECONDARY), checks=83, minutes=13)
    assert owner_client.get(address).context["uses"] == [
        "The old primary key was checked 7 times today, last 3 minutes ago.",
        "The secondary key was checked 83 times today, last 13 minutes ago.",
    ]


@pytest.mark.parametrize(
    ("left", "offered"),
    [
        (timedelta(days=8), ["now", "day", "week", "expiry"]),
        (timedelta(days=7, minutes=59), ["now", "day", "expiry"]),
        (timedelta(days=5), ["now", "day", "expiry"]),
        (timedelta(hours=24), ["now", "expiry"]),
        (timedelta(minutes=5), ["now", "expiry"]),
    ],
)
def test_no_two_ends_of_the_overlap_are_the_same_moment(left, offered, license, owner_client):
    license.keys.update(expires_at=NOW + left)
    address = reverse("licenses:reset", args=[license.subscription_id, Slot.PRIMARY])
    field = owner_client.get(address).context["form"]["overlap"]
    assert [option.data["value"] for option in field] == offered


# What it costs


def test_the_page_takes_ten_queries_however_many_checks_and_resets(
    license, owner_client, django_assert_num_queries
):
    address = license.subscription.get_absolute_url()
    owner_client.get(address)
    with django_assert_num_queries(10):
        owner_client.get(address)
    for _ in range(12):
        checked(reset(license, Slot.PRIMARY))
    with django_assert_num_queries(10):
        shown = owner_client.get(address).context["card"]
    assert [view.slot for view in shown.slots] == [Slot.PRIMARY, Slot.SECONDARY]


def test_the_chart_has_its_table(license, owner):
    checked(key_of(license))
    checked(key_of(license), "expired", checks=3, minutes=2)
    use = card(license, owner).use
    assert [chart.sentence for chart in use.charts] == [
        "42 passed, 3 refused; last 2 minutes ago.",
        "No terminal has checked it in 30 days.",
    ]
    assert [chart.highest for chart in use.charts] == ["45", "0"]
    assert [chart.most_refused for chart in use.charts] == ["3", "0"]
    assert use.rows == [(datetime(2026, 6, 1, tzinfo=UTC), [42, 3, 0, 0])]
    assert (use.charts[0].passed, use.charts[0].refused) == (
        "M290 48V5.1h8V48z",
        "M290 5.1V2h8V5.1z",
    )


def test_the_timeline_tells_the_first_and_the_last_day_of_each_key(license, owner_client, owner):
    html = owner_client.get(reverse("subscriptions:detail", args=[license.subscription_id]))
    bars = [lane.key for lane in card(license, owner).timeline.lanes]
    assert [days_of(bar) for bar in bars] == ["6 May 2026 – 6 Jun 2026"] * 2
    assert html.content.decode().count("6 May 2026 – 6 Jun 2026</tspan>") == 2
