"""Changes that wait a day: told to everybody whom they concern, and stopped by any of them."""

import re
from datetime import timedelta
from functools import partial

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.dates import moment
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.operators.flows import recovery
from portal.operators.models import Outcome, PendingChange
from portal.operators.values import page_of
from portal.tenants.flows.members import hand_over
from portal.tenants.models import Invitation, Role
from tests.support.accounts import TOTP_SECRET, make_member
from tests.support.admin_pages import address
from tests.support.license_flows import meanwhile
from tests.support.operator_actions import do, operator_of, results
from tests.support.second_factor import make_recovery_codes

DAY = timedelta(hours=24)
NEW = "new@contoso.example"


@pytest.fixture
def jane(contoso):
    """A member who lost the phone with the authenticator app."""
    return make_member(
        tenant=contoso, role=Role.VIEWER, email="jane@contoso.example", two_factor=True
    )


def later():
    return recovery.run_due(now=timezone.now() + DAY)


def mails():
    found = [(mail.to, mail.subject) for mail in Outbox.objects.order_by("pk")]
    Outbox.objects.all().delete()
    return found


def link():
    [found] = {*re.findall(r"http\S+(/objections/\S+)", Outbox.objects.first().text)}
    return found


def log_of(tenant):
    rows = LogEntry.objects.for_tenant(tenant.pk).order_by("seq")
    return [(row.action, row.actor_kind, row.reason) for row in rows]


def test_a_lost_second_factor_is_removed_after_a_day(operator_client, contoso, owner, jane):
    response = do(operator_client, [jane], "remove_second_factor")
    change = PendingChange.objects.get()
    due = moment(change.due_at)
    assert results(response) == [
        ("Jane", f"The second factor of {jane.email} will be removed {due} unless it is stopped.")
    ]
    assert page_of(change) in response.content.decode()
    subject = "Remove a lost second factor: Jane"
    assert mails() == [(jane.email, subject), (owner.email, subject)]
    assert recovery.run_due(now=timezone.now() + DAY - timedelta(minutes=1)) == []
    assert Authenticator.objects.filter(user=jane).exists()
    [change] = later()
    assert change.outcome == Outcome.DONE
    assert not Authenticator.objects.filter(user=jane).exists()
    assert mails() == [(jane.email, subject), (owner.email, subject)]
    assert log_of(contoso) == [
        ("change.asked", "operator", "Ticket 42"),
        ("change.done", "operator", "Ticket 42"),
    ]
    assert later() == []


def test_nobody_removes_what_is_not_there_or_an_operators(operator_client, operator, owner):
    assert results(do(operator_client, [owner], "remove_second_factor")) == [
        ("Owner", "Owner has no second factor.")
    ]
    [(_, sentence)] = results(do(operator_client, [operator], "remove_second_factor"))
    assert sentence == "An operator's second factor is removed by no other operator."
    assert not PendingChange.objects.exists()


def test_the_same_does_not_wait_twice(operator_client, jane):
    do(operator_client, [jane], "remove_second_factor")
    assert results(do(operator_client, [jane], "remove_second_factor")) == [
        ("Jane", "Such a change of Jane is already pending.")
    ]
    assert PendingChange.objects.count() == 1


def test_whoever_got_the_mail_stops_it_without_signing_in(operator_client, contoso, jane):
    do(operator_client, [jane], "remove_second_factor")
    stranger, address = Client(), link()
    page = stranger.get(address, follow=True)
    assert page.redirect_chain == [("/objections/", 302)]
    assert "jane@contoso.example" in page.content.decode()
    assert PendingChange.objects.get().outcome == Outcome.WAITING  # a scanner follows links
    answer = stranger.post("/objections/", follow=True)
    assert "Nothing was changed." in answer.content.decode()
    assert later() == []
    assert Authenticator.objects.filter(user=jane).exists()
    assert log_of(contoso)[-1][:2] == ("change.stopped", "system")
    assert stranger.post("/objections/").status_code == 422


def test_a_wrong_link_leads_nowhere(client, db):
    page = client.get("/objections/wrong/", follow=True)
    assert page.status_code == 404
    assert "This link is not known" in page.content.decode()


def test_an_operator_stops_it(operator_client, contoso, jane):
    do(operator_client, [jane], "remove_second_factor")
    change = PendingChange.objects.get()
    [(_, text)] = results(do(operator_client, [change], "stop"))
    assert text.startswith("Stopped: ")
    [(_, sentence)] = results(do(operator_client, [change], "stop"))
    assert sentence.startswith("This was stopped on ")


def test_a_member_replaces_the_last_owner(operator_client, contoso, owner, manager):
    [(_, text)] = results(do(operator_client, [contoso], "replace_owner", email=manager.email))
    assert text.startswith(f"{manager.email} becomes the owner of Contoso ")
    subject = "Replace the last owner: Contoso"
    assert mails() == [(manager.email, subject), (owner.email, subject)]
    assert contoso.memberships.get(role=Role.OWNER).user == owner
    later()
    roles = dict(contoso.memberships.values_list("user__email", "role"))
    assert roles == {owner.email: Role.VIEWER, manager.email: Role.OWNER}
    entry = LogEntry.objects.for_tenant(contoso.pk).order_by("seq").last()
    assert entry.details["before"] == {"owners": [owner.email]}
    assert entry.details["after"] == {"owners": [manager.email]}


def test_somebody_new_is_invited_and_the_owner_stays_until_then(operator_client, contoso, owner):
    do(operator_client, [contoso], "replace_owner", email=NEW)
    later()
    invitation = Invitation.objects.open().get()
    assert (invitation.email, invitation.role) == (NEW, Role.OWNER)
    assert contoso.memberships.get(role=Role.OWNER).user == owner
    assert len(log_of(contoso)) == 2


def test_of_several_owners_none_is_replaced(operator_client, contoso, owner):
    make_member(tenant=contoso, role=Role.OWNER, email="second@contoso.example")
    assert results(do(operator_client, [contoso], "replace_owner", email=NEW)) == [
        ("Contoso", "Contoso has several owners: one of them can replace another.")
    ]


def test_what_no_longer_fits_after_the_day_is_refused_and_told(operator_client, contoso, owner):
    do(operator_client, [contoso], "replace_owner", email=NEW)
    make_member(tenant=contoso, role=Role.OWNER, email="second@contoso.example")
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (
        Outcome.REFUSED,
        "Contoso has several owners by now.",
    )
    assert log_of(contoso)[-1][0] == "change.stopped"


def test_a_new_owner_who_was_deactivated_meanwhile_replaces_nobody(
    operator_client, contoso, owner, manager
):
    do(operator_client, [contoso], "replace_owner", email=manager.email)
    manager.is_active = False
    manager.save()
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (
        Outcome.REFUSED,
        f"{manager.email} is a member already.",
    )
    assert contoso.memberships.get(role=Role.OWNER).user == owner


def test_a_new_owner_who_left_meanwhile_is_invited(operator_client, contoso, owner, manager):
    do(operator_client, [contoso], "replace_owner", email=manager.email)
    manager.memberships.all().delete()
    later()
    assert Invitation.objects.open().get().email == manager.email
    assert contoso.memberships.get(role=Role.OWNER).user == owner


def test_an_owner_who_was_deactivated_meanwhile_is_none_of_several(
    operator_client, contoso, owner, manager
):
    do(operator_client, [contoso], "replace_owner", email=manager.email)
    make_member(tenant=contoso, role=Role.OWNER, email="second@contoso.example", is_active=False)
    [change] = later()
    assert change.outcome == Outcome.DONE
    assert contoso.memberships.owners().get().user == manager


def test_a_change_is_done_at_the_very_moment_when_it_is_due(operator_client, jane):
    do(operator_client, [jane], "remove_second_factor")
    due = PendingChange.objects.get().due_at
    assert recovery.run_due(now=due - timedelta(microseconds=1)) == []
    assert [change.outcome for change in recovery.run_due(now=due)] == [Outcome.DONE]


def test_what_is_stopped_at_the_last_moment_is_not_done(operator_client, operator, jane):
    do(operator_client, [jane], "remove_second_factor")
    own = PendingChange.objects.get()
    stop = partial(
        recovery.cancel, change=own, actor=operator.as_actor(""), reason="Jane has the phone."
    )
    with meanwhile(stop):
        [change] = later()
    assert change.outcome == Outcome.STOPPED
    assert Authenticator.objects.filter(user=jane).exists()


def test_stopping_too_late_says_so(operator_client, operator, jane):
    do(operator_client, [jane], "remove_second_factor")
    outdated = PendingChange.objects.get()
    later()
    with pytest.raises(Refused, match="^This was done on "):
        recovery.cancel(change=outdated, actor=operator.as_actor(""), reason="Too late.")


# What time and people change meanwhile


def ask_for_removal(client, jane):
    do(client, [jane], "remove_second_factor")


def ask_for_owner(client, contoso):
    do(client, [contoso], "replace_owner", email=NEW)


@pytest.fixture
def security():
    """An operator who may recover accounts, and their client."""
    return operator_of("security"), User.objects.get(email="security@vendor.example")


def became_operator(jane, _asker):
    jane.is_staff = True
    jane.save()


def became_superuser(jane, _asker):
    jane.is_superuser = True
    jane.save()


def lost_the_factor_otherwise(jane, _asker):
    Authenticator.objects.filter(user=jane).delete()


def set_up_another_factor(jane, _asker):
    Authenticator.objects.filter(user=jane).delete()
    TOTP.activate(jane, TOTP_SECRET)


def made_recovery_codes(jane, _asker):
    make_recovery_codes(jane)


def dismissed(_jane, asker):
    asker.is_active = False
    asker.save()


def no_operator_any_more(_jane, asker):
    asker.is_staff = False
    asker.save()


def lost_the_right(_jane, asker):
    asker.groups.set(Group.objects.filter(name="support"))


OPERATORS = "An operator's second factor is removed by no other operator."
ASKER = "Security, who asked for this, may no longer do so."
OTHERS = "Jane has set up a second factor or recovery codes since."
MEANWHILE = {
    became_operator: OPERATORS,
    became_superuser: OPERATORS,
    lost_the_factor_otherwise: "Jane has no second factor.",
    set_up_another_factor: OTHERS,
    made_recovery_codes: OTHERS,
    dismissed: ASKER,
    no_operator_any_more: ASKER,
    lost_the_right: ASKER,
}


@pytest.mark.parametrize("happened", MEANWHILE)
def test_what_waits_is_judged_again_when_it_is_due(happened, contoso, jane, security):
    client, asker = security
    ask_for_removal(client, jane)
    factors = Authenticator.objects.filter(user=jane)
    happened(jane, asker)
    before = factors.count()
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (Outcome.REFUSED, MEANWHILE[happened])
    assert factors.count() == before
    assert log_of(contoso)[-1] == ("change.stopped", "operator", MEANWHILE[happened])
    assert later() == []


@pytest.mark.parametrize("happened", [dismissed, no_operator_any_more, lost_the_right])
def test_an_owner_is_replaced_only_for_who_still_may(happened, contoso, owner, security):
    client, asker = security
    ask_for_owner(client, contoso)
    happened(None, asker)
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (Outcome.REFUSED, ASKER)
    assert not Invitation.objects.exists()
    assert contoso.memberships.get(role=Role.OWNER).user == owner


def test_who_became_the_owner_meanwhile_is_not_made_one(operator_client, contoso, owner, manager):
    do(operator_client, [contoso], "replace_owner", email=manager.email)
    contoso.memberships.filter(user=owner).delete()
    contoso.memberships.filter(user=manager).update(role=Role.OWNER)
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (
        Outcome.REFUSED,
        "manager@contoso.example is the owner already.",
    )


def test_nobody_loses_a_tenant_that_was_handed_over_meanwhile(
    operator_client, contoso, owner, manager
):
    ask_for_owner(operator_client, contoso)
    hand_over(to=contoso.memberships.get(user=manager), actor=owner.as_actor())
    [change] = later()
    assert (change.outcome, change.outcome_reason) == (
        Outcome.REFUSED,
        "Contoso has another owner by now.",
    )
    assert contoso.memberships.owners().get().user == manager


def test_what_an_earlier_release_asked_for_is_done(operator_client, jane):
    ask_for_removal(operator_client, jane)
    PendingChange.objects.update(removes=None)
    assert [change.outcome for change in later()] == [Outcome.DONE]


def test_it_is_due_at_its_moment_and_not_before(operator_client, jane):
    ask_for_removal(operator_client, jane)
    due_at = PendingChange.objects.get().due_at
    assert recovery.run_due(now=due_at - timedelta(microseconds=1)) == []
    [change] = recovery.run_due(now=due_at)
    assert (change.outcome, change.finished_at) == (Outcome.DONE, due_at)


def test_a_change_that_fails_keeps_no_other_from_being_done(
    operator_client, contoso, fabrikam, jane, owner, caplog
):
    """The log of Fabrikam refuses its next row, as after somebody wrote into it."""
    do(operator_client, [fabrikam], "replace_owner", email=NEW)
    ask_for_removal(operator_client, jane)
    LogEntry.objects.create(
        tenant_id=fabrikam.pk, seq=2, at=timezone.now(), actor_kind="system", action="test"
    )
    [change] = later()
    assert (change.user, change.outcome) == (jane, Outcome.DONE)
    failed = PendingChange.objects.get(tenant=fabrikam)
    assert (failed.outcome, Invitation.objects.count()) == (Outcome.WAITING, 0)
    [record] = caplog.records
    assert record.message == f"Pending change {failed.pk} failed; the others go on"
    assert record.exc_info is not None


def test_a_wrong_link_makes_no_session(client, db):
    assert client.get("/objections/wrong/").url == "/objections/"
    assert (Session.objects.count(), "sessionid" in client.cookies) == (0, False)


@pytest.mark.parametrize("end", [Outcome.DONE, Outcome.STOPPED, Outcome.REFUSED])
def test_a_finished_link_shows_nothing_of_its_past(operator_client, contoso, owner, end):
    do(operator_client, [contoso], "replace_owner", email=NEW)
    visitor, address = Client(), link()
    shown = (NEW, "Contoso", "Ticket 42")
    page = visitor.get(address, follow=True).content.decode()
    assert [part for part in shown if part not in page] == []
    finished = {"outcome": end, "outcome_reason": "Contoso", "finished_at": timezone.now()}
    PendingChange.objects.update(**finished)
    page = visitor.get("/objections/").content.decode()
    assert [part for part in shown if part in page] == []


def test_somebody_who_is_signed_in_is_named_before_they_stop_it(
    operator_client, contoso, jane, viewer_client, viewer
):
    do(operator_client, [jane], "remove_second_factor")
    page = viewer_client.get(link(), follow=True).content.decode()
    assert f"You are signed in as {viewer.email}. The log will say that you stopped it." in page
    viewer_client.post("/objections/")
    assert LogEntry.objects.for_tenant(contoso.pk).order_by("seq").last().actor_id == viewer.pk


def test_the_page_of_a_user_says_what_they_have_and_what_waits(operator_client, contoso, jane):
    make_recovery_codes(jane)
    do(operator_client, [jane], "remove_second_factor")
    html = operator_client.get(address(User, "change", jane.pk)).content.decode()
    assert "Authenticator app, 10 recovery codes left" in html
    assert "Remove a lost second factor: waits until" in html
    assert 'value="stop"' in html
    assert reverse("admin:portal_tenant_customer", args=[contoso.pk]) in html
    listed = operator_client.get(address(User, "changelist"), {"factor": "yes"}).content.decode()
    assert (jane.email in listed, "Contoso" in listed) == (True, True)
