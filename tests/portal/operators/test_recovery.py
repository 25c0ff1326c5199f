"""Changes that wait a day: told to everybody whom they concern, and stopped by any of them."""

import re
from datetime import timedelta
from functools import partial

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from portal.activity.models import LogEntry
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.operators.flows import recovery
from portal.operators.models import Outcome, PendingChange
from portal.tenants.models import Invitation, Role
from tests.support.accounts import make_member
from tests.support.license_flows import meanwhile
from tests.support.operator_actions import do, results

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


def told(tenant):
    rows = LogEntry.objects.for_tenant(tenant.pk).order_by("seq")
    return [(row.action, row.actor_kind, row.reason) for row in rows]


def test_a_lost_second_factor_is_removed_after_a_day(operator_client, contoso, owner, jane):
    assert results(do(operator_client, [jane], "remove_second_factor")) == [
        ("Jane", "Waits 24 hours")
    ]
    subject = "Remove a lost second factor: Jane"
    assert mails() == [(jane.email, subject), (owner.email, subject)]
    assert recovery.run_due(now=timezone.now() + DAY - timedelta(minutes=1)) == []
    assert Authenticator.objects.filter(user=jane).exists()
    [change] = later()
    assert change.outcome == Outcome.DONE
    assert not Authenticator.objects.filter(user=jane).exists()
    assert mails() == [(jane.email, subject), (owner.email, subject)]
    assert told(contoso) == [
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
    assert told(contoso)[-1][:2] == ("change.stopped", "system")
    assert stranger.post("/objections/").status_code == 422


def test_a_wrong_link_leads_nowhere(client, db):
    page = client.get("/objections/wrong/", follow=True)
    assert page.status_code == 404
    assert "This link is not known" in page.content.decode()


def test_an_operator_stops_it(operator_client, contoso, jane):
    do(operator_client, [jane], "remove_second_factor")
    change = PendingChange.objects.get()
    assert [text for _, text in results(do(operator_client, [change], "stop"))] == ["Done"]
    [(_, sentence)] = results(do(operator_client, [change], "stop"))
    assert sentence.startswith("This was stopped on ")


def test_a_member_replaces_the_last_owner(operator_client, contoso, owner, manager):
    assert results(do(operator_client, [contoso], "replace_owner", email=manager.email)) == [
        ("Contoso", "Waits 24 hours")
    ]
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
    assert len(told(contoso)) == 2


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
    assert told(contoso)[-1][0] == "change.stopped"


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
