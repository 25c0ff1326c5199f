"""Expiry reminders: when, of what, to whom, and each once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from licenses import reminders
from licenses.flows.delete import delete_keys
from licenses.flows.reset import Overlap, reset_key
from licenses.models import KeyState, License, LicenseKey, Slot
from portal.core import dates
from portal.core.actors import SYSTEM
from portal.mail.models import Outbox
from portal.tenants.models import Role
from subscriptions.models import Plan, State
from tests.support.accounts import make_member
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.races import race

pytestmark = pytest.mark.django_db

EXPIRY = datetime(2027, 5, 20, 9, 30, tzinfo=UTC)
STEPS = {
    "smb-yearly": [60, 30, 14, 7, 3, 1, 0],
    "community": [30, 14, 7, 3, 1, 0],
    "smb-monthly": [7, 3, 1, 0],
}


@pytest.fixture(autouse=True)
def _owner(contoso):
    make_member(tenant=contoso, role=Role.OWNER, email="owner@contoso.example")


def license_for(tenant: Any, signing_key: Any, plan: str = "smb-yearly", **fields: Any) -> License:
    subscription = make_subscription(tenant=tenant, plan=Plan.objects.get(code=plan), **fields)
    license = make_license(subscription=subscription, signing_key=signing_key)
    expire(license, EXPIRY)
    return license


def expire(license: License, at: datetime) -> None:
    license.keys.update(issued_at=at - timedelta(days=365), expires_at=at)


def on(days: int, hour: int = 12) -> datetime:
    """Return a moment so many days before the day of expiry; from 09:30 on they are begun."""
    return (EXPIRY - timedelta(days=days)).replace(hour=hour)


@pytest.mark.parametrize(("plan", "steps"), STEPS.items())
def test_mails_go_out_on_the_days_of_the_plan(plan, steps, contoso, signing_key):
    license_for(contoso, signing_key, plan)
    sent = [days for days in range(70, -3, -1) if reminders.send(now=on(days))]
    assert sent == steps
    assert Outbox.objects.count() == len(steps)


def test_however_often_it_runs_each_step_is_told_once(contoso, signing_key):
    license_for(contoso, signing_key)
    assert [reminders.send(now=on(60, hour)) for hour in (8, 9, 11, 23)] == [0, 1, 0, 0]
    assert [reminders.send(now=on(59, hour)) for hour in (0, 12)] == [0, 0]


def test_days_that_were_missed_are_made_up_for_in_one_mail(contoso, signing_key):
    license_for(contoso, signing_key)
    assert [reminders.send(now=on(days)) for days in (61, 12, 8, 5)] == [0, 1, 0, 1]
    subjects = Outbox.objects.order_by("pk").values_list("subject", flat=True)
    assert [subject.rpartition("expire ")[2] for subject in subjects] == ["in 12 days", "in 5 days"]


def test_one_mail_tells_of_all_subscriptions_with_a_link_to_each(contoso, signing_key):
    first = license_for(contoso, signing_key, name="First")
    second = license_for(contoso, signing_key, "community", name="Second")
    expire(second, EXPIRY + timedelta(days=1))
    assert reminders.send(now=on(6)) == 1
    mail = Outbox.objects.get()
    assert (mail.to, mail.subject) == (
        "owner@contoso.example",
        "License keys of 2 subscriptions expire, the first in 6 days",
    )
    for license in (first, second):
        assert f"http://localhost:8000/subscriptions/{license.subscription_id}/" in mail.text
    assert "First: Both keys expire on 20 May 2027 at 09:30 UTC, in 6 days. Reset" in mail.text
    assert "Second: Both keys expire on 21 May" in mail.text


def test_each_reader_gets_the_moment_in_the_zone_of_their_profile(contoso, signing_key):
    there = {"time_zone": "America/Los_Angeles"}
    make_member(tenant=contoso, role=Role.MANAGER, email="west@contoso.example", **there)
    license_for(contoso, signing_key)
    reminders.send(now=on(7))
    texts = dict(Outbox.objects.values_list("to", "text"))
    assert "expire on 20 May 2027 at 09:30 UTC, in 7" in texts["owner@contoso.example"]
    west = f"expire on 20 May 2027 at 02:30 UTC{dates.MINUS}7 (09:30 UTC), in 7"
    assert west in texts["west@contoso.example"]


def test_a_step_that_comes_later_the_same_day_waits_for_the_next(contoso, signing_key):
    license_for(contoso, signing_key)
    reminders.send(now=on(7, 12))
    license_for(contoso, signing_key, name="Resumed")
    assert [reminders.send(now=on(7, 13)), reminders.send(now=on(6, 0))] == [0, 1]
    assert "Resumed" in Outbox.objects.latest("pk").text


def test_a_slot_that_was_reset_is_silent(contoso, signing_key):
    license = license_for(contoso, signing_key)
    old = license.keys.get(slot=Slot.PRIMARY)
    LicenseKey.objects.filter(pk=old.pk).update(
        state=KeyState.REPLACED, replaced_at=EXPIRY - timedelta(days=20)
    )
    new = make_key(license=license, state=KeyState.CURRENT)
    LicenseKey.objects.filter(pk=new.pk).update(
        issued_at=EXPIRY, expires_at=EXPIRY + timedelta(days=365)
    )
    assert reminders.send(now=on(7)) == 1
    mail = Outbox.objects.get()
    assert ": The secondary key expires on 20 May 2027 at 09:30 UTC, in 7 days." in mail.text
    assert mail.subject == f"The secondary key of {license.subscription} expires in 7 days"


SILENT: dict[str, Any] = {
    "suspended": lambda license: _subscription(license, state=State.SUSPENDED),
    "ended": lambda license: _subscription(license, state=State.ENDED),
    "past its end": lambda license: _subscription(license, ends_at=on(8)),
    "revoked": lambda license: license.keys.update(revoked_at=on(9)),
    "deleted": lambda license: delete_keys(license=license, actor=SYSTEM, now=on(9)),
    "expired": lambda license: expire(license, on(10)),
}


def _subscription(license: License, **fields: Any) -> None:
    type(license.subscription).objects.filter(pk=license.subscription_id).update(**fields)


@pytest.mark.parametrize("make_so", SILENT.values(), ids=SILENT)
def test_what_is_no_more_needs_no_reminder(make_so, contoso, signing_key):
    license = license_for(contoso, signing_key)
    make_so(license)
    Outbox.objects.all().delete()  # the notice of the deletion
    assert reminders.send(now=on(7)) == 0
    assert not Outbox.objects.exists()


def test_a_key_that_ends_with_its_subscription_asks_for_more_than_a_reset(contoso, signing_key):
    license_for(contoso, signing_key, ends_at=EXPIRY + timedelta(microseconds=7))
    license_for(contoso, signing_key, name="Goes on", ends_at=EXPIRY + timedelta(days=9))
    reminders.send(now=on(7))
    assert Outbox.objects.get().text.count("The subscription ends then too") == 1


def test_one_subscription_whose_keys_expire_on_two_days_is_one(contoso, signing_key):
    license = license_for(contoso, signing_key, name="Field tools")
    later = EXPIRY + timedelta(days=1)
    license.keys.filter(slot=Slot.SECONDARY).update(expires_at=later)
    reminders.send(now=on(6))
    mail = Outbox.objects.get()
    assert mail.subject == "The primary key of Field tools expires in 6 days"
    assert mail.text.index("primary key expires") < mail.text.index("secondary key expires")


def test_when_all_was_told_one_query_sees_it(contoso, signing_key, django_assert_num_queries):
    for _ in range(3):
        license_for(contoso, signing_key)
    reminders.send(now=on(7))
    with django_assert_num_queries(1):
        assert reminders.send(now=on(6)) == 0


def test_every_tenant_gets_its_own(contoso, fabrikam, signing_key):
    make_member(tenant=fabrikam, role=Role.MANAGER, email="manager@fabrikam.example")
    for tenant in (contoso, fabrikam):
        license_for(tenant, signing_key, name=tenant.name)
    assert reminders.send(now=on(7)) == 2
    mails = dict(Outbox.objects.values_list("to", "text"))
    assert sorted(mails) == ["manager@fabrikam.example", "owner@contoso.example"]
    assert "Contoso" not in mails["manager@fabrikam.example"]


@pytest.mark.django_db(transaction=True)
def test_two_commands_at_once_send_one_mail(contoso, signing_key, transactional_db):
    license_for(contoso, signing_key)
    told = race(lambda: reminders.send(now=on(7)), 8)
    assert sorted(told) == [0] * 7 + [1]
    assert Outbox.objects.count() == 1


def test_the_command_says_how_many(contoso, signing_key, capsys):
    license = license_for(contoso, signing_key)
    expire(license, datetime.now(UTC) + timedelta(days=7, minutes=1))
    call_command("send_reminders")
    assert capsys.readouterr().out == "Tenants reminded: 1\n"


# What is done to keys is told


def test_a_reset_and_a_deletion_are_told_to_the_others_without_the_key(contoso, signing_key):
    license = make_license(subscription=make_subscription(tenant=contoso, name="Field tools"))
    colleague = make_member(tenant=contoso, role=Role.MANAGER, email="jane@contoso.example")
    key = license.keys.get(slot=Slot.PRIMARY)
    reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=colleague.as_actor(),
        overlap=Overlap.NOW,
        expected_jti=key.jti,
    )
    delete_keys(license=license, actor=colleague.as_actor())
    mails = list(Outbox.objects.order_by("pk"))
    assert [(mail.to, mail.subject) for mail in mails] == [
        ("owner@contoso.example", f"Primary key of Field tools was reset by {colleague}"),
        ("owner@contoso.example", f"License keys of Field tools were deleted by {colleague}"),
    ]
    for mail in mails:
        assert "eyJ" not in mail.text + mail.html
        assert f"/subscriptions/{license.subscription_id}/" in mail.text


def test_the_longest_name_keeps_no_flow_from_telling(contoso, signing_key):
    subscription = make_subscription(tenant=contoso, name="N" * 200)
    delete_keys(license=make_license(subscription=subscription), actor=SYSTEM)
    assert Outbox.objects.get().subject == f"License keys of {'N' * 183}…"
