"""An account is deleted with all that hangs on it; tenants keep an owner, logs their rows."""

from collections import Counter
from functools import partial

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import DatabaseError, connection
from django.test import Client

from portal.accounts.models import User
from portal.accounts.proof import proof_address
from portal.activity.models import VENDOR, LogEntry
from portal.activity.verify import verify
from portal.operators.flows.recovery import remove_second_factor
from portal.tenants.flows.delete_account import delete_account
from portal.tenants.flows.members import change_role
from portal.tenants.models import Invitation, Member, Role
from tests.support.accounts import make_user, sign_in, stale
from tests.support.answers import messages_of, refusals
from tests.support.factories import make_member
from tests.support.mails import mails
from tests.support.people import log, member, member_actor, refusal
from tests.support.races import race_all, take_away_lock_of_tenants

pytestmark = pytest.mark.django_db(transaction=True)
DELETE = "/profile/delete/"


def deletes(user):
    delete_account(user=user, actor=member_actor(user))


def test_an_account_is_erased_and_the_logs_tell_it(owner, viewer, contoso):
    app = Authenticator.objects.create(user=viewer, type="totp", data={})
    sign_in(Client(), viewer).get("/profile/")
    for email, sender in ((viewer.email, owner), ("new@x.example", viewer)):
        Invitation.objects.create(
            tenant=contoso, email=email, role="viewer", invited_by=sender, token_sha256=email
        )
    Invitation.objects.filter(email=viewer.email).update(accepted_at=viewer.date_joined)
    deletes(viewer)
    assert not User.objects.filter(pk=viewer.pk).exists()
    left = [
        EmailAddress.objects.filter(email=viewer.email),
        Authenticator.objects.filter(pk=app.pk),
        UserSession.objects.all(),
        Invitation.objects.all(),
        contoso.memberships.exclude(user=owner),
    ]
    assert [rows.count() for rows in left] == [0] * 5
    told = {"name": "Viewer", "email": "viewer@contoso.example", "role": "viewer"}
    assert log(contoso) == [("person.account_deleted", told)]
    assert verify(contoso.pk) is None
    [mail] = mails()
    assert (mail.to, mail.subject) == ([viewer.email], "Your account was deleted")
    assert "You have left Contoso." in mail.body


def test_who_is_in_no_tenant_is_told_of_in_the_vendors_log(db):
    deletes(make_user(email="nobody@x.example"))
    assert LogEntry.objects.get().tenant_id == VENDOR
    assert "You have left" not in mails()[0].body


def test_a_repeated_request_changes_nothing(viewer, contoso):
    deletes(viewer)
    deletes(viewer)
    assert (len(log(contoso)), len(mails())) == (1, 1)


def test_the_last_owner_hands_over_first(owner, manager, contoso, fabrikam):
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.OWNER)
    assert refusal(lambda: deletes(owner)) == (
        "You are the last owner of Contoso, Fabrikam. Hand over first: a tenant always has an "
        "owner."
    )
    fabrikam.memberships.all().delete()
    change_role(member=member(manager), role=Role.OWNER, actor=member_actor(owner))
    manager.is_active = False
    manager.save()
    assert refusal(lambda: deletes(owner)).startswith("You are the last owner of Contoso.")
    manager.is_active = True
    manager.save()
    deletes(owner)
    assert [*contoso.members.all()] == [manager]


def test_operators_present_and_past_are_kept(operator, viewer, contoso):
    assert refusal(lambda: deletes(operator)).startswith("You are an operator.")
    Authenticator.objects.create(user=viewer, type="totp", data={})
    remove_second_factor(user=viewer, actor=operator.as_actor(), reason="Ticket 42")
    User.objects.filter(pk=operator.pk).update(is_staff=False, is_superuser=False)
    assert refusal(lambda: deletes(operator)).startswith("What you did as an operator")
    assert User.objects.filter(pk=operator.pk).exists()


# The last two owners at once


@pytest.fixture
def two_owners(owner, contoso):
    return owner, make_member(tenant=contoso, role=Role.OWNER, email="second@contoso.example")


@pytest.fixture
def no_lock(monkeypatch):
    take_away_lock_of_tenants(monkeypatch, "portal.tenants.flows.delete_account")


def test_of_two_owners_who_delete_their_accounts_at_once_one_stays(two_owners, contoso):
    outcomes = race_all([partial(deletes, user) for user in two_owners])
    assert Counter(type(o).__name__ for o in outcomes) == {"NoneType": 1, "Refused": 1}
    assert contoso.memberships.owners().count() == 1


def test_without_the_lock_nobody_is_refused_politely(contoso, no_lock):
    """Tried until both have looked before one of them left."""

    def goes_wrong(number):
        contoso.memberships.all().delete()
        emails = [f"{name}{number}@contoso.example" for name in ("first", "second")]
        owners = [make_member(tenant=contoso, role=Role.OWNER, email=email) for email in emails]
        outcomes = race_all([partial(deletes, user) for user in owners])
        if connection.vendor == "sqlite":
            return any(isinstance(outcome, DatabaseError) for outcome in outcomes)
        return contoso.memberships.owners().count() == 0

    assert any(map(goes_wrong, range(20))), "the tenant always kept an owner"


def test_an_owner_who_leaves_by_deletion_and_one_who_is_demoted_leave_an_owner(two_owners, contoso):
    first, second = two_owners
    demote = partial(
        change_role, member=member(first), role=Role.VIEWER, actor=member_actor(second)
    )
    race_all([partial(deletes, second), demote])
    assert contoso.memberships.owners().count() == 1


def test_who_joins_a_tenant_meanwhile_looks_again(viewer, fabrikam):
    joins = iter([True])

    def join_before_the_lock(proceed, sql, *arguments):
        if 'FROM "portal_tenant"' in sql and next(joins, False):
            Member.objects.create(tenant=fabrikam, user=viewer, role=Role.OWNER)
        return proceed(sql, *arguments)

    with connection.execute_wrapper(join_before_the_lock):
        sentence = refusal(lambda: deletes(viewer))
    assert sentence == "Your memberships have changed just now. Look at them, and try again."


# The page


def test_the_page_asks_for_the_address_and_leads_to_the_sign_in(viewer_client, viewer):
    answer = viewer_client.post(DELETE, {"confirmation": "yes"})
    assert refusals(answer) == ["That does not match. Type viewer@contoso.example."]
    answer = viewer_client.post(DELETE, {"confirmation": "Viewer@contoso.example"})
    assert answer["Location"] == "/accounts/login/"
    assert messages_of(answer) == ["The account of viewer@contoso.example was deleted."]
    assert viewer_client.get("/profile/").status_code == 302
    assert not User.objects.filter(pk=viewer.pk).exists()


def test_it_needs_a_recent_proof_and_keeps_what_was_typed(viewer):
    client = sign_in(Client(), viewer, at=stale())
    answer = client.post(DELETE, {"confirmation": viewer.email})
    assert answer["Location"] == proof_address(DELETE)
    assert client.get(DELETE).context["form"]["confirmation"].value() == viewer.email
    assert User.objects.filter(pk=viewer.pk).exists()


def test_the_last_owner_is_led_to_hand_over(owner_client, owner):
    answer = owner_client.get(DELETE)
    assert [str(tenant) for tenant in answer.context["last_owner_of"]] == ["Contoso"]
    page = answer.content.decode()
    assert (page.count('href="/tenant/hand-over/"'), page.count("confirmation")) == (1, 0)
    answer = owner_client.post(DELETE, {"confirmation": owner.email})
    assert (answer.status_code, answer.context["form"].is_valid()) == (422, False)
