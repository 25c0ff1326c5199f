"""The banner on top of a subscription's page: what is the matter, and the one action that helps."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from licenses import reminders
from licenses.flows.reset import Overlap, reset_key
from licenses.models import CheckCount, License, LicenseKey, Slot
from licenses.web.card import license_card
from licenses.web.need import Need, Step, need_of
from licenses.web.triage import read_needs
from portal.core.actors import SYSTEM
from portal.core.dates import day
from portal.mail.models import Outbox
from portal.tenants.models import Member
from subscriptions.flows.suspend_resume_end import (
    end_subscription,
    resume_subscription,
    suspend_subscription,
)
from subscriptions.models import EXPIRY_NOTICE, BillingPeriod, Plan, State, Subscription
from tests.support.factories import make_license, make_signing_key, make_subscription

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PLANS = {"smb-yearly": 60, "community": 30, "smb-monthly": 7}


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def license(contoso) -> License:
    make_signing_key(created_at=NOW - 90 * DAY)
    subscription = make_subscription(tenant=contoso, plan="smb-yearly", name="Field tools")
    then = NOW - 65 * DAY
    return make_license(subscription=subscription, issued_at=then, created_at=then)


def the_need(license: License, user: Any) -> Need | None:
    subscription = Subscription.objects.select_related("plan").get(pk=license.subscription_id)
    member = Member.objects.get(user=user)
    return need_of(subscription, license_card(subscription, member), member)


def badges(license: License) -> list[tuple[str, str]]:
    """Return labels and tones of the subscription in the list."""
    rows: Any = Subscription.objects.with_state().select_related("plan")
    row = rows.get(pk=license.subscription_id)
    read_needs([row], NOW)
    return [(badge.label, badge.tone) for badge in row.badges]


def expire(license: License, left: timedelta, *slots: Slot) -> None:
    keys = license.keys.filter(slot__in=slots or list(Slot))
    keys.update(issued_at=NOW - 365 * DAY, expires_at=NOW + left)


def opens(name: str, license: License, *slot: Slot, label: str) -> Step:
    address = reverse(f"licenses:{name}", args=[license.subscription_id, *slot])
    return Step(label=label, address=address, opens=True, in_slot=name == "reset")


# List, page and mails


def lefts(days: int) -> list[tuple[timedelta, str, str]]:
    """Return time left, what is said of it, and the kind of the banner."""
    return [
        (timedelta(days=days, seconds=1), "Active", ""),
        (timedelta(days=days), f"Expires in {days} days", "expiring"),
        (timedelta(days=days) - SECOND, f"Expires in {days} days", "expiring"),
        (timedelta(days=5, seconds=-1), "Expires in 5 days", "expiring"),
        (DAY, "Expires in 1 day", "expiring"),
        (timedelta(hours=8), "Expires in 8 hours", "expiring"),
        (SECOND, "Expires in less than a minute", "expiring"),
        (timedelta(0), "Expired", "expired"),
        (-DAY, "Expired", "expired"),
    ]


@pytest.mark.parametrize(
    ("plan", "left", "said", "kind"),
    [(plan, *case) for plan, days in PLANS.items() for case in lefts(days)],
)
def test_list_page_and_mails_agree(plan, left, said, kind, license, owner):
    Subscription.objects.update(plan=Plan.objects.get(code=plan))
    License.objects.update(plan=Plan.objects.get(code=plan))
    expire(license, left)
    card = license_card(Subscription.objects.get(), Member.objects.get())
    need = the_need(license, owner)
    assert card.state is not None
    label = "Expires soon" if kind == "expiring" else said
    assert badges(license) == [(label, card.state.tone)]
    assert (need.kind if need else "") == kind
    assert reminders.send() == (1 if kind else 0)
    if kind == "expiring":
        assert need is not None
        assert need.rest == said.replace("Expires", ",")
        assert Outbox.objects.get().subject.endswith(f" {said.removeprefix('Expires ')}")
        assert need.sentence in Outbox.objects.get().text
    if kind == "expired":
        assert Outbox.objects.get().subject == "Both keys of Field tools have expired"


def test_mails_begin_when_pages_turn_amber():
    assert {period: timedelta(days=steps[0]) for period, steps in reminders.STEPS.items()} == (
        EXPIRY_NOTICE
    )
    assert set(EXPIRY_NOTICE) == set(BillingPeriod)


@pytest.mark.parametrize(
    ("lost", "kind"), [({"revoked_at": NOW}, "revoked"), ({"expires_at": NOW}, "expired")]
)
def test_one_of_two_is_seen_in_the_list_as_on_the_page(lost, kind, license, owner):
    license.keys.filter(slot="primary").update(**lost)
    need = the_need(license, owner)
    assert need is not None
    assert (badges(license), need.kind, need.tone) == ([("1 of 2 valid", "warn")], kind, "warn")


def test_the_list_says_of_those_that_are_suspended_that_they_are(license):
    expire(license, DAY)
    Subscription.objects.update(state=State.SUSPENDED)
    assert badges(license) == [("Suspended", "warn")]
    assert reminders.send() == 0


# Keys


def test_when_all_is_well_nothing_is_said(license, owner):
    assert the_need(license, owner) is None


def test_the_key_that_terminals_do_not_use_is_reset_first(license, owner):
    expire(license, timedelta(days=5))
    need = the_need(license, owner)
    assert need == Need(
        kind="expiring",
        tone="warn",
        title="Both keys expire on",
        at=NOW + timedelta(days=5),
        rest=", in 5 days",
        to_do="Reset one, install it, check it, reset the other.",
        ask="reset them",
        action=opens("reset", license, Slot.PRIMARY, label="Reset Primary…"),
    )
    primary = license.keys.get(slot=Slot.PRIMARY)
    CheckCount.objects.create(
        tenant=primary.tenant,
        license_key=primary,
        hour=NOW,
        result="valid",
        count=1,
        last_at=NOW - DAY,
    )
    need = the_need(license, owner)
    assert need is not None
    assert need.action == opens("reset", license, Slot.SECONDARY, label="Reset Secondary…")


def test_of_two_expired_keys_the_one_that_terminals_still_try_is_reset_first(license, owner):
    expire(license, -3 * DAY, Slot.SECONDARY)
    expire(license, -DAY, Slot.PRIMARY)
    primary = license.keys.get(slot=Slot.PRIMARY)
    for ago, result, count in ((timedelta(), "expired", 7), (3 * DAY, "valid", 400)):
        CheckCount.objects.create(
            tenant=primary.tenant,
            license_key=primary,
            hour=NOW - ago,
            result=result,
            count=count,
            last_at=NOW - ago - timedelta(minutes=3),
        )
    need = the_need(license, owner)
    card = license_card(license.subscription, Member.objects.get(user=owner))
    assert need is not None
    assert need.title == "Both keys have expired, the last one on"
    assert need.at == NOW - DAY
    assert need.action == opens("reset", license, Slot.PRIMARY, label="Reset Primary…")
    assert card.advice is not None
    assert card.advice.sentence == (
        "Reset the primary key: it has expired, and terminals still try it (refused 7 times since, "
        "last 3 minutes ago)."
    )


def test_the_key_that_expires_next_is_named_too(license, owner):
    expire(license, 3 * DAY, Slot.SECONDARY)
    expire(license, 5 * DAY, Slot.PRIMARY)
    need = the_need(license, owner)
    assert need is not None
    assert (need.title, need.rest) == (
        "Both keys expire soon, the secondary one on",
        ", in 3 days",
    )
    assert need.sentence.endswith(
        " Then do the same with the primary key, which expires in 5 days."
    )


def test_the_other_key_is_taken_into_use_before_the_last_one_is_reset(license, owner):
    expire(license, timedelta(days=5), Slot.PRIMARY)
    secondary = license.keys.get(slot=Slot.SECONDARY)
    address = reverse("licenses:download", args=[license.subscription_id, Slot.SECONDARY])
    reset = opens("reset", license, Slot.PRIMARY, label="Reset Primary…")
    need = the_need(license, owner)
    assert need is not None
    assert (need.title, need.sentence, need.action) == (
        "The primary key expires on",
        "Download the secondary key, install it and check it; then reset the primary key.",
        Step(label="Download Secondary", address=address, in_slot=True),
    )
    license.keys.filter(pk=secondary.pk).update(last_downloaded_at=NOW)
    need = the_need(license, owner)
    assert need is not None
    assert (need.sentence, need.action) == (
        "Install the secondary key and check it; then reset the primary key.",
        Step(label="Download Secondary again", address=address, in_slot=True),
    )
    CheckCount.objects.create(
        tenant=secondary.tenant,
        license_key=secondary,
        hour=NOW,
        result="valid",
        count=1,
        last_at=NOW,
    )
    need = the_need(license, owner)
    assert need is not None
    assert (need.sentence, need.action) == (
        "Reset it, install the new license file and check it.",
        reset,
    )


def test_a_key_that_ends_with_its_subscription_needs_a_renewal(license, owner, settings):
    expire(license, timedelta(days=5))
    Subscription.objects.update(ends_at=NOW + timedelta(days=5))
    need = the_need(license, owner)
    assert need is not None
    assert (need.sentence, need.action) == (
        "The subscription ends then too, and no new key lasts longer: renew it first.",
        Step(label="Renew the subscription", address=settings.BUY_URL),
    )


def test_the_card_says_the_same_of_a_key_that_ends_with_its_subscription(license, owner):
    Subscription.objects.update(ends_at=NOW + 5 * DAY)
    expire(license, 5 * DAY)
    subscription = Subscription.objects.select_related("plan").get()
    card = license_card(subscription, Member.objects.get(user=owner))
    assert card.advice is not None
    assert card.advice.sentence == (
        "Renew the subscription first: it ends with these keys, and a reset gives no longer one."
    )
    assert [view.filled for view in card.slots] == ["", ""]


def test_a_revoked_key_is_to_be_reset_once_the_other_is_in_use(license, owner, settings):
    settings.SUPPORT_EMAIL = "help@vendor.example"
    license.keys.filter(slot=Slot.SECONDARY).update(revoked_at=NOW - DAY)
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.tone, need.title, need.at) == (
        "revoked",
        "warn",
        "The secondary key was revoked on",
        NOW - DAY,
    )
    assert need.sentence == (
        "Terminals do not start on it. Download the primary key, install it and check it; then "
        "reset the secondary key. The vendor can tell you why: help@vendor.example"
    )
    passed(license.keys.get(slot=Slot.PRIMARY))
    need = the_need(license, owner)
    assert need is not None
    assert need.action == opens("reset", license, Slot.SECONDARY, label="Reset Secondary…")


def reset(license: License, slot: Slot, overlap: Overlap = Overlap.NOW) -> LicenseKey:
    jti = license.keys.current().get(slot=slot).jti
    return reset_key(license=license, slot=slot, actor=SYSTEM, overlap=overlap, expected_jti=jti)


def passed(key: LicenseKey, result: str = "valid") -> None:
    CheckCount.objects.create(
        tenant=key.tenant, license_key=key, hour=NOW, result=result, count=1, last_at=NOW
    )


@pytest.mark.parametrize(
    ("lost", "verb"),
    [
        ({"expires_at": NOW}, "expired"),
        ({"revoked_at": NOW}, "was revoked"),
        ({"expires_at": NOW + 5 * DAY}, "expires"),
    ],
)
def test_one_reset_of_two_leads_on_to_its_new_key(lost, verb, license, owner, owner_client):
    license.keys.update(issued_at=NOW - 365 * DAY, **lost)
    new = reset(license, Slot.PRIMARY)
    address = license.subscription.get_absolute_url()

    def shown() -> tuple[str, str, Step | None]:
        need = the_need(license, owner)
        assert need is not None
        assert owner_client.get(f"{address}next/").url == (
            need.action.address if need.action and need.action.opens else address
        )
        return need.title, need.sentence.removeprefix("Terminals do not start on it. "), need.action

    download = reverse("licenses:download", args=[license.subscription_id, Slot.PRIMARY])
    then = "it and check it; then reset the secondary key."
    title = f"The secondary key {verb} on"
    assert shown() == (
        title,
        f"Download the new primary key, install {then}",
        Step(label="Download Primary", address=download, in_slot=True),
    )
    if "revoked_at" not in lost:
        reminders.send()
        mail = Outbox.objects.latest("pk").text
        assert f"Download the new primary key, install {then}" in mail
        assert "Download the new key:" in mail
    LicenseKey.objects.filter(pk=new.pk).update(last_downloaded_at=NOW)
    install = "Install the new primary key and check it; then reset the secondary key."
    again = Step(label="Download Primary again", address=download, in_slot=True)
    assert shown() == (title, install, again)
    passed(new, "application_not_authorized")
    assert shown() == (title, install, again)
    passed(new)
    action = opens("reset", license, Slot.SECONDARY, label="Reset Secondary…")
    assert shown()[2] == action


def test_while_a_slot_shows_the_steps_the_banner_has_no_button(license, owner_client):
    expire(license, 5 * DAY)
    reset(license, Slot.PRIMARY)
    shown = owner_client.get(license.subscription.get_absolute_url()).context
    assert shown["need"].action.label == "Download Primary"
    assert (shown["button"], shown["card"].slots[0].filled) == (None, "download")


def test_an_old_key_in_use_is_warned_of_until_its_overlap_ends(license, owner):
    old = license.keys.get(slot=Slot.PRIMARY)
    new = reset(license, Slot.PRIMARY, Overlap.DAY)
    assert the_need(license, owner) is None
    passed(old, "superseded")
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.tone, need.at, need.rest) == (
        "overlap",
        "warn",
        NOW + DAY,
        ", in 1 day",
    )
    assert need.sentence == (
        "Terminals still use it: checked once today, last less than a minute ago. Download the new "
        "primary key and install it on them before then: an overlap cannot be extended."
    )
    expire(license, 5 * DAY, Slot.SECONDARY)
    need = the_need(license, owner)
    assert need is not None
    assert need.kind == "overlap"
    assert need.sentence.endswith(" The secondary key expires in 5 days: then reset that one.")
    Subscription.objects.update(ends_at=NOW + timedelta(days=5))
    need = the_need(license, owner)
    assert need is not None
    assert need.sentence.endswith(
        " The subscription ends in 5 days, and both keys with it: renew it too."
    )
    Subscription.objects.update(ends_at=None)
    expire(license, 300 * DAY, Slot.SECONDARY)
    assert need.action is not None
    assert need.action.label == "Download Primary"
    LicenseKey.objects.filter(pk=new.pk).update(last_downloaded_at=NOW)
    need = the_need(license, owner)
    assert need is not None
    assert " Install the new primary key on them before then: " in need.sentence
    assert need.action is not None
    assert need.action.label == "Download Primary again"
    passed(new)
    card = license_card(license.subscription, Member.objects.get(user=owner))
    assert card.advice is not None
    assert not card.advice.is_urgent
    assert card.advice.sentence == (
        "Install the new primary key on the terminals that still ask with the old one; then reset "
        "the secondary key."
    )


def test_without_keys_the_path_to_a_terminal_is_shown(contoso, owner, viewer):
    subscription = make_subscription(tenant=contoso)
    address = reverse("licenses:generate", args=[subscription.pk])
    for user, action in (
        (owner, Step(label="Generate", address=address, opens=True, name="generate")),
        (viewer, None),
    ):
        member = Member.objects.get(user=user)
        need = need_of(subscription, license_card(subscription, member), member)
        assert need is not None
        assert (need.kind, need.path[0], need.action) == ("no_keys", "Generate", action)


def test_after_a_change_of_plan_keys_are_generated_anew_even_when_they_have_expired(license, owner):
    Subscription.objects.update(plan=Plan.objects.get(code="enterprise-yearly"))
    delete = replace(opens("delete", license, label="Delete license keys…"), is_danger=True)
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.action) == ("plan_changed", delete)
    expire(license, -DAY)
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.action) == ("expired", delete)


RENEWALS: dict[str, tuple[datetime | None, datetime]] = {
    "a later end": (NOW + 200 * DAY, NOW + 200 * DAY),
    "a far end": (NOW + 900 * DAY, NOW + 365 * DAY),
    "no end": (None, NOW + 365 * DAY),
}


@pytest.mark.parametrize(("ends_at", "expected"), RENEWALS.values(), ids=RENEWALS)
def test_after_a_renewal_a_reset_gives_the_longer_date(ends_at, expected, license, owner):
    license.keys.update(expires_at=NOW + 100 * DAY)
    Subscription.objects.update(ends_at=NOW + 100 * DAY)
    assert the_need(license, owner) is None
    Subscription.objects.update(ends_at=ends_at)
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.at) == ("renewed", expected)
    assert need.action == opens("reset", license, Slot.PRIMARY, label="Reset Primary…")
    license.keys.update(expires_at=NOW + 12 * DAY)
    need = the_need(license, owner)
    assert need is not None
    assert need.kind == "expiring"
    assert need.sentence.endswith(f" A reset gives a key until {day(expected)}.")


# The subscription


def test_suspended_since_when_why_and_whom_to_ask(license, owner, settings, owner_client):
    settings.SUPPORT_EMAIL = "help@vendor.example"
    suspended = suspend_subscription(
        subscription=license.subscription, actor=SYSTEM, reason="Payment <b>is</b> late.", now=NOW
    )
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.at, need.reason) == ("suspended", NOW, "Payment <b>is</b> late.")
    assert need.sentence.endswith(" Ask the vendor what is needed: help@vendor.example")
    assert need.action == Step(label="Ask for help", address="mailto:help@vendor.example")
    page = owner_client.get(suspended.get_absolute_url()).content.decode()
    assert "Reason: Payment &lt;b&gt;is&lt;/b&gt; late." in page
    mail = Outbox.objects.get()
    assert mail.subject == "Subscription Field tools was suspended by the portal"
    assert "Reason: Payment <b>is</b> late." in mail.text
    assert "Questions? help@vendor.example" in mail.text
    settings.SUPPORT_URL = "https://vendor.example/help"
    need = the_need(license, owner)
    assert need is not None
    assert need.action == Step(label="Ask for help", address="https://vendor.example/help")
    resume_subscription(subscription=suspended, actor=SYSTEM, reason="Paid.")
    assert the_need(license, owner) is None
    assert "Reason: Paid." in Outbox.objects.latest("pk").text


def test_one_suspended_by_the_previous_release_says_so_without_a_date(license, owner):
    Subscription.objects.update(state=State.SUSPENDED)
    need = the_need(license, owner)
    assert need is not None
    assert (need.title, need.at, need.action) == (
        "The vendor suspended this subscription",
        None,
        None,
    )


ENDS: dict[str, tuple[Callable[[Subscription], Any], datetime | None, str]] = {
    "by an operator": (
        lambda row: end_subscription(subscription=row, actor=SYSTEM, reason="Refund.", now=NOW),
        NOW,
        "Refund.",
    ),
    "by its date": (lambda row: Subscription.objects.update(ends_at=NOW - DAY), NOW - DAY, ""),
    "by the previous release": (
        lambda row: Subscription.objects.update(state=State.ENDED),
        None,
        "",
    ),
}


@pytest.mark.parametrize(("end", "at", "reason"), ENDS.values(), ids=ENDS)
def test_ended_when_and_where_to_buy(end, at, reason, license, owner, settings):
    end(license.subscription)
    need = the_need(license, owner)
    assert need is not None
    assert (need.kind, need.at, need.reason) == ("ended", at, reason)
    assert need.action == Step(label="Buy a subscription", address=settings.BUY_URL)


def test_a_viewer_reads_who_can_help_and_gets_no_action_of_theirs(
    license, viewer, viewer_client, manager_client
):
    expire(license, timedelta(days=5))
    Subscription.objects.update(state=State.PENDING, activated_at=None)
    need = the_need(license, viewer)
    assert need is not None
    assert (need.title, need.action) == ("This subscription is not active yet", None)
    assert need.sentence.endswith("subscription is active. Ask Manager to activate it.")
    address = license.subscription.get_absolute_url()
    pages = [client.get(address).content.decode() for client in (viewer_client, manager_client)]
    assert ["Activate my Subscription" in page for page in pages] == [False, True]
    Subscription.objects.update(state=State.ACTIVE, activated_at=NOW)
    pages = [client.get(address).content.decode() for client in (viewer_client, manager_client)]
    assert [page.count('id="need"') for page in pages] == [1, 1]
    assert [page.count("/reset/primary/") > 0 for page in pages] == [False, True]


def test_a_viewer_reads_what_they_can_do_themselves_and_who_does_the_rest(license, viewer, manager):
    expire(license, timedelta(days=5), Slot.PRIMARY)
    need = the_need(license, viewer)
    assert need is not None
    assert need.sentence == (
        "Download the secondary key, install it and check it; then ask Manager to reset the "
        "primary key."
    )
    assert need.action is not None
    assert need.action.label == "Download Secondary"
    license.keys.update(expires_at=NOW + timedelta(days=5))
    need = the_need(license, viewer)
    assert need is not None
    assert (need.sentence, need.action) == ("Ask Manager to reset them.", None)
