"""A signing key that leaked: checks refuse, members are told once, and every slot can be reset."""

import re
import shlex
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from licenses import keys, status_list
from licenses.checking.badges import ONE_VALID, WITHDRAWN, KeyBadge, badge_in_list
from licenses.checking.check import check
from licenses.checking.results import Result
from licenses.flows import withdrawals
from licenses.flows.download import download_key
from licenses.flows.renew import renew
from licenses.flows.reset import Overlap, overlaps
from licenses.flows.signing_keys import disable_signing_key
from licenses.models import License, LicenseKey, SigningKey, Slot, StatusList
from licenses.models.subscriptions import read_license_state
from licenses.status_list import Entry
from licenses.web.card import license_card
from licenses.web.need import Need, need_of
from portal.activity.models import LogEntry
from portal.mail.models import Outbox
from portal.tenants.models import Member
from subscriptions.models import Subscription
from tests.support.factories import make_license, make_subscription
from tests.support.license_flows import BOB, DAY, NOW, after_reset, refusal

pytestmark = pytest.mark.django_db

TOLD = "license_key.withdrawn"


@pytest.fixture
def license(contoso, signing_key) -> License:
    return make_license(
        issued_at=NOW, subscription=make_subscription(tenant=contoso, name="Field tools")
    )


def withdraw(signing_key: SigningKey) -> None:
    disable_signing_key(signing_key=signing_key, actor=BOB, reason="Leaked", now=NOW)


def told() -> list[tuple[str, str]]:
    """Return subscription and slot of every row that tells of it."""
    rows = LogEntry.objects.filter(action=TOLD).order_by("seq")
    return [(row.subscription_name, row.slot) for row in rows]


def shown(license: License) -> tuple[KeyBadge | None, Need | None]:
    """Return the state in the list and the need on the page, which agree on the state."""
    row = Subscription.objects.with_state().select_related("plan").get(pk=license.subscription_id)
    read_license_state([row])
    member = Member.objects.get(tenant=license.tenant)
    card = license_card(row, member)
    return badge_in_list(row, NOW), need_of(row, card, member)


# Told


def test_members_are_told_once_by_one_mail_that_leads_to_the_reset(license, owner, signing_key):
    withdraw(signing_key)
    assert [withdrawals.tell(now=NOW), withdrawals.tell(now=NOW)] == [1, 0]
    assert told() == [("Field tools", "primary"), ("Field tools", "secondary")]
    mail = Outbox.objects.get()
    assert mail.to == owner.email
    assert mail.subject == "Both keys of Field tools are no longer accepted"
    assert f"{license.subscription.get_absolute_url()}next/" in mail.text


def test_a_mail_names_all_subscriptions_and_those_without_keys_to_reset_hear_nothing(
    license, owner, signing_key, fabrikam
):
    make_license(subscription=make_subscription(tenant=license.tenant, name="Kiosks"))
    lapsed = make_license(subscription=make_subscription(tenant=fabrikam))
    lapsed.keys.update(revoked_at=NOW)
    withdraw(signing_key)
    assert withdrawals.tell(now=NOW) == 1
    mail = Outbox.objects.get()
    assert mail.subject == "License keys of 2 subscriptions are no longer accepted"
    assert "Subscriptions: Field tools, Kiosks." in mail.text


def test_a_worker_that_died_goes_on_where_it_was(license, owner, signing_key):
    withdraw(signing_key)
    withdrawals.tell(now=NOW)
    other = make_license(signing_key=signing_key)  # as if it had not come to this tenant yet
    SigningKey.objects.filter(pk=signing_key.pk).update(withdrawal_told_at=None)
    assert withdrawals.tell(now=NOW, stopped=lambda: True) == 0
    assert withdrawals.tell(now=NOW) == 1
    subscriptions = ("Field tools", other.subscription.name)
    assert sorted(told()) == sorted((each, slot) for each in subscriptions for slot in Slot)
    assert Outbox.objects.count() == 1


def test_what_was_disabled_long_ago_is_no_news(license, owner, signing_key):
    withdraw(signing_key)
    assert withdrawals.tell(now=NOW + 8 * DAY) == 0


# Seen


def test_the_page_says_what_happened_and_leads_to_the_reset(license, owner, signing_key):
    withdraw(signing_key)
    state, need = shown(license)
    assert (state, need.kind) == (WITHDRAWN, "withdrawn")
    assert need.title == "Both keys are no longer accepted since"
    assert need.sentence == (
        "The vendor withdrew the signing key of both, so terminals do not start on them. Reset "
        "one, install it, check it, reset the other."
    )
    assert need.action.label == "Reset Primary…"
    after_reset(license, now=NOW)
    state, need = shown(license)
    assert (state, need.title) == (ONE_VALID, "The secondary key is no longer accepted since")
    after_reset(license, Slot.SECONDARY, now=NOW)
    assert shown(license)[1] is None


def test_checks_and_lists_refuse_what_it_signed_and_nothing_else(license, signing_key):
    key = license.keys.get(slot=Slot.PRIMARY)
    withdraw(signing_key)
    new = make_license(signing_key=keys.active()).keys.get(slot=Slot.PRIMARY)
    results = [check(each.token, expected={}).result for each in (key, new)]
    assert results == [Result.SIGNING_KEY_UNKNOWN, Result.VALID]
    entries = status_list.entries(StatusList.objects.get(), NOW)
    assert (entries[key.status_index], entries.get(new.status_index)) == (Entry.INVALID, None)


def test_it_is_neither_downloaded_nor_kept_working_by_a_reset(license, signing_key):
    withdraw(signing_key)
    key = license.keys.get(slot=Slot.PRIMARY)
    assert overlaps(key, NOW) == (Overlap.NOW,)
    no = refusal(lambda: download_key(license=license, slot=Slot.PRIMARY, actor=BOB))
    assert no.sentence == (
        "The primary key was withdrawn. Once a manager or owner has reset it, download the new one."
    )


def test_programs_renew_it_at_once(license, signing_key):
    withdraw(signing_key)
    renewal = renew(license=license, slot=Slot.PRIMARY, actor=BOB, now=NOW)
    assert renewal.renewed
    assert renewal.key.signing_key == keys.active()
    old = LicenseKey.objects.get(slot=Slot.PRIMARY, signing_key=signing_key)
    assert old.accepted_until is None
    assert not renew(license=license, slot=Slot.PRIMARY, actor=BOB, now=NOW).renewed


# The command, and the page to follow at night

PAGE = Path(__file__).parents[3] / "docs" / "leaked-signing-key.md"


def test_the_commands_of_the_page_do_what_it_says(license, signing_key, monkeypatch, tmp_path):
    commands = re.findall(r"^python manage.py (.+)$", PAGE.read_text(), re.M)
    outputs: dict[str, str] = {}
    for command in commands:
        words, _, file = command.replace("KID", signing_key.kid).partition(" > ")
        name, *arguments = shlex.split(words)
        out = StringIO()
        call_command(name, *arguments, stdout=out, stderr=out)
        outputs[file or command] = out.getvalue()
        if file == "left.csv":
            assert keys.active() != signing_key
    assert [name for name in outputs if name.endswith(".csv")] == ["affected.csv", "left.csv"]
    assert outputs["affected.csv"] == outputs["left.csv"]
    assert SigningKey.objects.get(pk=signing_key.pk).disabled_at is not None
    assert "The log is whole" in outputs["verify_log"]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("disable_signing_key", *arguments, stdout=out)
    return out.getvalue()


def test_one_command_disables_the_active_key_with_its_successor(license, owner, signing_key):
    before = run("active", "--affected").splitlines()
    assert [len(before), keys.active()] == [2, signing_key]
    assert ",Field tools," in before[1]
    assert run("active", "--reason", "Leaked") == (
        f"Disabled the signing key {signing_key.kid}. License keys refused from now on: 2. "
        f"{keys.active().kid} signs.\n"
    )
    assert run(signing_key.kid, "--affected").splitlines() == before
    rows = LogEntry.objects.filter(action="signing_key.disabled")
    assert [row.reason for row in rows] == ["Leaked"]


def test_a_key_id_of_old_that_begins_with_a_hyphen_is_no_option(license, signing_key):
    SigningKey.objects.update(kid=f"-h{signing_key.kid[2:]}")
    assert ",Field tools," in run("--affected", "--", f"-h{signing_key.kid[2:]}")


def test_the_command_asks_for_a_reason_and_for_a_key_that_exists(signing_key):
    with pytest.raises(CommandError, match="Say why, by --reason"):
        run("active")
    with pytest.raises(CommandError, match=f"no such signing key. Known: {signing_key.kid}."):
        run("nothing", "--reason", "Leaked")
    assert keys.active() == signing_key
