"""A change of address: who may finish it, what ends it, and how the old address stops it."""

import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP
from portal.accounts.flows.email_change import revoke_email_change
from portal.accounts.flows.sessions import end_all_sessions
from portal.accounts.models import TAKE_BACK_WITHIN, EmailChange, EmailChangeState, User
from portal.activity.models import LogEntry
from portal.core.refusal import Refused
from tests.support.accounts import PASSWORD, TOTP_SECRET, make_user, prove, sign_in
from tests.support.answers import shape
from tests.support.identities import signed_in_as, text
from tests.support.mails import mails
from tests.support.second_factor import make_recovery_codes

pytestmark = pytest.mark.django_db
EMAIL, REVOKE = reverse("account_email"), reverse("revoke_email_change")
NEW = "new@contoso.example"
FRESH = "a fresh and long password"


def link_to(address: str, part: str) -> str:
    """Return the path of the newest link with that part that was mailed to the address."""
    [*_, link] = [
        link
        for mail in mails()
        if mail.to == [address]
        for link in re.findall(rf"^https?://\S+{part}\S+$", mail.body, re.MULTILINE)
    ]
    return link.removeprefix(settings.PUBLIC_URL)


def ask(client):
    assert client.post(EMAIL, {"action_add": "", "email": NEW}).status_code == 302


def change_password(client, user):
    values = {"oldpassword": PASSWORD, "password1": FRESH, "password2": FRESH}
    assert client.post(reverse("account_change_password"), values).status_code == 302


def reset_password(client, user):
    client.post(reverse("account_reset_password"), {"email": user.email})
    form = Client().get(link_to(user.email, "/key/"), follow=True)
    values = {"password1": FRESH, "password2": FRESH}
    there = Client()
    there.get(link_to(user.email, "/key/"))
    assert there.post(form.redirect_chain[-1][0], values).status_code == 302


def add_factor(client, user):
    TOTP.activate(user, TOTP_SECRET)


def by_command(client, user):
    user.set_password(FRESH)
    user.save()


def connect_identity(client, user):
    SocialAccount.objects.create(user=user, provider="company", uid="of somebody")


def end_sessions(client, user):
    with transaction.atomic():
        end_all_sessions(user=user)


@pytest.mark.parametrize(
    "change",
    [change_password, reset_password, add_factor, by_command, connect_identity, end_sessions],
)
def test_a_change_that_waits_ends_with_every_change_of_what_one_signs_in_with(owner, change):
    client, before = sign_in(Client(), owner), owner.email
    ask(client)
    link = link_to(NEW, "/confirm-email/")
    change(client, owner)
    owner.refresh_from_db()
    sign_in(client, owner).post(link)
    owner.refresh_from_db()
    assert owner.email == before


def test_a_link_is_worth_nothing_in_another_browser(owner, owner_client, stranger_client):
    before = owner.email
    ask(owner_client)
    link = link_to(NEW, "/confirm-email/")
    assert unquote(Client().post(link)["Location"]) == f"{reverse('account_login')}?next={link}"
    for method in ("get", "post"):
        answer = getattr(stranger_client, method)(link)
        assert shape(answer) == (403, "page", "This link belongs to another account")
    owner.refresh_from_db()
    assert owner.email == before


def test_the_old_address_is_told_and_its_link_stops_the_change(owner, owner_client, contoso):
    before = owner.email
    ask(owner_client)
    told = [mail.subject for mail in mails() if mail.to == [before]]
    assert told == ["A change of your email address was asked for"]
    confirm, anybody = link_to(NEW, "/confirm-email/"), Client()
    assert anybody.get(link_to(before, "/stop/"))["Location"] == REVOKE
    assert shape(anybody.get(REVOKE)) == (200, "page", "Stop the change of address?")
    assert shape(anybody.post(REVOKE)) == (200, "page", f"Your address is {before}")
    owner_client.post(confirm)
    owner.refresh_from_db()
    assert owner.email == before
    rows = LogEntry.objects.filter(tenant_id=contoso.pk).order_by("seq")
    assert [*rows.values_list("action", flat=True)] == [
        "person.email_change_asked",
        "person.email_change_stopped",
    ]
    gone = anybody.get(link_to(before, "/stop/"))
    assert shape(gone) == (404, "page", "This link no longer works")


def test_the_old_address_takes_itself_back_and_ends_what_the_intruder_has(owner):
    before, intruder = owner.email, sign_in(Client(), owner)
    ask(intruder)
    intruder.post(link_to(NEW, "/confirm-email/"))
    TOTP.activate(owner, TOTP_SECRET)
    victim = Client()
    victim.get(link_to(before, "/stop/"))
    assert shape(victim.get(REVOKE)) == (200, "page", "Take the old address back?")
    victim.post(REVOKE)
    owner = User.objects.get(pk=owner.pk)
    assert (owner.email, owner.has_usable_password()) == (before, False)
    assert [*owner.emailaddress_set.values_list("email", "verified")] == [(before, True)]
    assert not Authenticator.objects.filter(user=owner).exists()
    assert intruder.get(reverse("profile:detail")).status_code == 302


def test_taking_back_removes_what_the_intruder_added_before_asking_for_the_change(owner):
    intruder, before = sign_in(Client(), owner), owner.email
    TOTP.activate(owner, TOTP_SECRET)
    make_recovery_codes(owner)
    SocialAccount.objects.create(user=owner, provider="company", uid="intruder")
    prove(sign_in(intruder, owner))
    ask(intruder)
    intruder.post(link_to(NEW, "/confirm-email/"))
    victim = Client()
    victim.get(link_to(before, "/stop/"))
    said = text(victim.post(REVOKE))
    assert "everything that signed in to the account was removed" in said
    assert not Authenticator.objects.filter(user=owner).exists()
    assert not SocialAccount.objects.filter(user=owner).exists()
    reset_password(victim, User.objects.get(pk=owner.pk))
    victim.post(reverse("account_login"), {"login": before, "password": FRESH})
    assert signed_in_as(victim) == owner


def test_the_old_address_has_seven_days(owner, owner_client):
    before = owner.email
    ask(owner_client)
    owner_client.post(link_to(NEW, "/confirm-email/"))
    link, change = link_to(before, "/stop/"), EmailChange.objects.get()
    end = change.done_at + TAKE_BACK_WITHIN
    for now, status in [(end - timedelta(microseconds=1), 302), (end, 404)]:
        with time_machine.travel(now, tick=False):
            assert Client().get(link).status_code == status


@pytest.mark.parametrize("state", [EmailChangeState.DONE, EmailChangeState.WAITING])
def test_a_change_that_ended_meanwhile_is_not_revoked(owner, owner_client, state):
    ask(owner_client)
    outdated = EmailChange.objects.get()
    outdated.state, outdated.done_at = state, timezone.now()
    EmailChange.objects.update(state=EmailChangeState.ENDED)
    with pytest.raises(Refused, match="can no longer be stopped or taken back"):
        revoke_email_change(change=outdated, actor=owner.as_actor())


def test_taking_back_ends_later_changes(owner, owner_client):
    first, second = owner.email, "second@contoso.example"
    for address in (second, NEW):
        owner_client.post(EMAIL, {"action_add": "", "email": address})
        owner_client.post(link_to(address, "/confirm-email/"))
    owner.refresh_from_db()
    assert owner.email == NEW
    victim = Client()
    victim.get(link_to(first, "/stop/"))
    victim.post(REVOKE)
    owner.refresh_from_db()
    assert owner.email == first
    assert Client().get(link_to(second, "/stop/")).status_code == 404


def sign_in_elsewhere(address):
    User.objects.create(email=address, name="Other")


def verify_elsewhere(address):
    EmailAddress.objects.create(
        user=make_user(email="other@contoso.example"), email=address, verified=True
    )


@pytest.mark.parametrize("taken", [sign_in_elsewhere, verify_elsewhere])
def test_an_address_that_is_somebody_elses_by_now_is_not_taken_back(owner, owner_client, taken):
    before = owner.email
    ask(owner_client)
    owner_client.post(link_to(NEW, "/confirm-email/"))
    taken(before)
    victim = Client()
    victim.get(link_to(before, "/stop/"))
    assert "Somebody else signs in with this address by now." in text(victim.post(REVOKE))
    owner.refresh_from_db()
    assert owner.email == NEW


def test_an_unknown_link_begins_no_session():
    client = Client()
    assert client.get(reverse("open_email_change", args=["forged"])).status_code == 404
    assert not client.cookies


def test_a_sign_in_that_waits_for_its_second_step_ends_with_the_password(owner):
    TOTP.activate(owner, TOTP_SECRET)
    intruder = Client()
    intruder.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    by_command(intruder, owner)
    code = make_recovery_codes(owner)[0]
    answer = intruder.post(reverse("mfa_authenticate"), {"code": code})
    assert answer["Location"] == reverse("account_login")
    assert "_auth_user_id" not in intruder.session
