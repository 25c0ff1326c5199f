"""What one changes about one's own account, and what proof it wants."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from portal.accounts.flows.accounts import edit_user
from portal.accounts.middleware import PROOF_FIRST
from portal.accounts.models import User
from portal.activity.models import LogEntry
from tests.support.accounts import PASSWORD, TOTP_SECRET, sign_in, stale
from tests.support.answers import messages_of
from tests.support.factories import make_license, make_subscription
from tests.support.mails import mails

pytestmark = pytest.mark.django_db
PROFILE, EMAIL = reverse("profile:detail"), reverse("account_email")
NEW = "new@contoso.example"


def actions(tenant):
    rows = LogEntry.objects.filter(tenant_id=tenant.pk).order_by("seq")
    return [*rows.values_list("action", flat=True)]


def sign_in_with(client, email, password=PASSWORD):
    return client.post(reverse("account_login"), {"login": email, "password": password})


def link_in(message):
    [link] = re.findall(r"^https?://\S+/confirm-email/\S+$", message.body, re.MULTILINE)
    assert link.startswith(settings.PUBLIC_URL)
    return link.removeprefix(settings.PUBLIC_URL)


# Name


def test_a_name_is_changed_and_every_tenant_is_told(viewer, viewer_client, contoso):
    assert viewer_client.post(PROFILE, {"name": "Vera"})["Location"] == PROFILE
    viewer.refresh_from_db()
    assert viewer.name == "Vera"
    entry = LogEntry.objects.get(tenant_id=contoso.pk)
    assert (entry.action, entry.details) == (
        "person.renamed",
        {"before": {"name": "Viewer"}, "after": {"name": "Vera"}},
    )


def test_the_same_name_is_no_change(viewer, viewer_client, contoso):
    viewer_client.post(PROFILE, {"name": viewer.name})
    assert actions(contoso) == []


def test_an_operator_edits_the_name_that_there_is_now(viewer, operator):
    outdated = User.objects.get(pk=viewer.pk)
    User.objects.filter(pk=viewer.pk).update(name="Vera")
    changes = {"name": outdated.name}
    edit_user(user=outdated, changes=changes, actor=operator.as_actor(), reason="Ticket 42")
    viewer.refresh_from_db()
    assert viewer.name == outdated.name
    assert LogEntry.objects.get().details["before"] == {"name": "Vera"}


# Address


def test_a_change_of_address_counts_once_its_link_is_confirmed_and_the_old_one_is_told(
    owner, owner_client, contoso
):
    old = owner.email
    owner_client.post(EMAIL, {"action_add": "", "email": NEW})
    owner.refresh_from_db()
    assert (owner.email, mails()[0].to) == (old, [NEW])
    link = link_in(mails()[0])
    for method in ("get", "head"):
        getattr(Client(), method)(link)
        getattr(owner_client, method)(link)
    owner.refresh_from_db()
    assert owner.email == old
    owner_client.post(link)
    owner.refresh_from_db()
    assert owner.email == NEW
    assert [*owner.emailaddress_set.values_list("email", "verified")] == [(NEW, True)]
    assert [(m.to, m.subject) for m in mails()[1:]] == [
        ([old], "A change of your email address was asked for"),
        ([old], "Your email address was changed"),
    ]
    assert old in mails()[2].body
    assert NEW in mails()[2].body
    assert actions(contoso) == ["person.email_change_asked", "person.email_changed"]
    owner.refresh_from_db()
    assert owner.has_usable_password()


def test_an_address_of_somebody_else_is_answered_like_a_free_one(owner_client, stranger):
    answers = [
        owner_client.post(EMAIL, {"action_add": "", "email": email})
        for email in (NEW, stranger.email)
    ]
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, EMAIL)] * 2


def test_an_address_of_somebody_else_is_not_taken_by_its_link(owner, owner_client, stranger):
    owner_client.post(EMAIL, {"action_add": "", "email": stranger.email})
    before = owner.email
    owner_client.post(link_in(mails()[0]))
    owner.refresh_from_db()
    assert owner.email == before


def test_an_address_that_a_user_signs_in_with_unverified_is_not_taken(owner, owner_client):
    User.objects.create_user(NEW, PASSWORD, name="New")
    owner_client.post(EMAIL, {"action_add": "", "email": NEW})
    before = owner.email
    owner_client.post(link_in(mails()[0]))
    owner.refresh_from_db()
    assert owner.email == before


def test_people_with_a_second_factor_change_their_address_too(owner):
    TOTP.activate(owner, TOTP_SECRET)
    client = sign_in(Client(), owner)
    assert client.post(EMAIL, {"action_add": "", "email": NEW}).status_code == 302
    assert mails()[0].to == [NEW]


# Verification


@pytest.fixture
def prepared(db) -> User:
    """An account that somebody made for the address of somebody else."""
    user = User.objects.create_user(NEW, PASSWORD, name="Prepared")
    EmailAddress.objects.create(user=user, email=NEW, primary=True)
    TOTP.activate(user, TOTP_SECRET)
    return user


def test_verifying_drops_what_somebody_else_has_set(prepared):
    intruder = sign_in(Client(), prepared)
    intruder.get(PROFILE)
    assert UserSession.objects.count() == 1
    sign_in_with(Client(), NEW)
    Client().post(link_in(mails()[0]))
    prepared.refresh_from_db()
    assert EmailAddress.objects.get().verified
    assert not prepared.has_usable_password()
    assert not Authenticator.objects.filter(user=prepared).exists()
    assert intruder.get(PROFILE)["Location"] == f"/accounts/login/?next={PROFILE}"


def test_who_has_just_signed_in_keeps_what_they_signed_in_with(prepared):
    client = Client()
    sign_in_with(client, NEW)
    link = link_in(mails()[0])
    client.get(link)
    client.post(link)
    prepared.refresh_from_db()
    assert prepared.has_usable_password()


def test_looking_at_a_link_signs_nobody_out(prepared, owner_client):
    sign_in_with(Client(), NEW)
    owner_client.get(link_in(mails()[0]))
    assert owner_client.get(PROFILE).status_code == 200


# Proof


@pytest.mark.parametrize("name", sorted(PROOF_FIRST))
def test_an_old_proof_is_not_enough_for(name, owner):
    TOTP.activate(owner, TOTP_SECRET)
    client = sign_in(Client(), owner, at=stale())
    url = reverse(name, kwargs={"pk": 1} if name.startswith(("mfa_edit", "mfa_remove")) else {})
    for answer in (client.get(url), client.post(url, {"password1": "secret of mine"})):
        assert answer.status_code == 302
        assert answer["Location"] == reverse("account_reauthenticate", query={"next": url})
    assert "secret of mine" not in str(dict(client.session))


def test_a_password_proves_and_leads_back(owner):
    client = sign_in(Client(), owner, at=stale())
    asked = client.get(EMAIL)["Location"]
    assert client.post(asked, {"password": PASSWORD})["Location"] == EMAIL
    assert client.get(EMAIL).status_code == 200


def test_the_proof_page_names_what_it_is_for(owner, manager, contoso, signing_key):
    subscription = make_subscription(tenant=contoso, name="Shop & more")
    make_license(subscription=subscription)
    client = sign_in(Client(), owner, at=stale())
    reset = reverse("licenses:reset", args=[subscription.pk, "primary"])

    def about(answer):
        page = client.get(answer["Location"]).content.decode()
        return re.findall("You are about to <strong>(.*?)</strong>", page)

    assert about(client.get(EMAIL)) == ["change your email address"]
    assert about(client.post(reset)) == ["reset the primary key of Shop &amp; more"]
    remove = reverse("tenant:remove_member", args=[manager.memberships.get().pk])
    asked = client.post(remove)
    assert about(asked) == ["remove Manager"]
    wrong = client.post(asked["Location"], {"password": "x", "next": remove}).content.decode()
    assert wrong.count("<strong>remove Manager</strong>") == 1
    assert about({"Location": reverse("account_reauthenticate", query={"next": "/logs/"})}) == []


def test_a_wrong_password_proves_nothing(owner):
    client = sign_in(Client(), owner, at=stale())
    client.post(client.get(EMAIL)["Location"], {"password": "another password"})
    assert client.get(EMAIL).status_code == 302


def test_a_proof_never_leads_to_another_site(owner):
    client = sign_in(Client(), owner, at=stale())
    asked = reverse("account_reauthenticate", query={"next": "https://evil.example/"})
    assert client.post(asked, {"password": PASSWORD})["Location"] == "/"


def test_a_second_factor_is_switched_off_with_a_notice_and_a_row(owner, contoso):
    TOTP.activate(owner, TOTP_SECRET)
    client = sign_in(Client(), owner)
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
    assert actions(contoso) == ["person.two_factor_off"]
    assert mails()[0].to == [owner.email]


# Sessions


def test_one_session_is_ended_and_its_browser_is_out_at_once(owner):
    here, there = sign_in(Client(), owner), sign_in(Client(), owner)
    there.get(PROFILE)
    session = UserSession.objects.get()
    answer = here.post(reverse("profile:end_session", args=[session.pk]))
    assert messages_of(answer) == ["The session has ended."]
    assert there.get(PROFILE).status_code == 302
    assert here.get(PROFILE).status_code == 200


def test_all_other_sessions_are_ended(owner):
    here, there = sign_in(Client(), owner), sign_in(Client(), owner)
    for client in (here, there):
        client.get(PROFILE)
    here.post(reverse("usersessions_list"))
    assert (here.get(PROFILE).status_code, there.get(PROFILE).status_code) == (200, 302)


def test_sessions_are_ended_after_a_recent_proof_alone(owner):
    there = sign_in(Client(), owner)
    there.get(PROFILE)
    session = UserSession.objects.get()
    here = sign_in(Client(), owner, at=stale())
    listing = reverse("usersessions_list")
    proof_page = reverse("account_reauthenticate", query={"next": listing})
    for path in (reverse("profile:end_session", args=[session.pk]), listing):
        assert here.post(path)["Location"] == proof_page
    assert "<strong>end sessions</strong>" in here.get(proof_page).text
    assert there.get(PROFILE).status_code == 200
    assert here.post(proof_page, {"password": PASSWORD})["Location"] == listing
    here.post(listing)
    assert there.get(PROFILE).status_code == 302


def test_a_proof_gives_the_session_another_key(owner):
    client = sign_in(Client(), owner, at=stale())
    client.get(PROFILE)
    taken = client.cookies["sessionid"].value
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert client.get(PROFILE).status_code == 200
    assert UserSession.objects.get().session_key == client.cookies["sessionid"].value != taken
    thief = Client()
    thief.cookies["sessionid"] = taken
    assert thief.get(PROFILE).status_code == 302


def test_a_session_of_somebody_else_does_not_exist(owner_client, viewer_client):
    viewer_client.get(PROFILE)
    url = reverse("profile:end_session", args=[UserSession.objects.get().pk])
    assert owner_client.post(url).status_code == 404
    assert viewer_client.get(PROFILE).status_code == 200


def test_a_new_password_ends_the_other_sessions(owner):
    here, there = sign_in(Client(), owner), sign_in(Client(), owner)
    new = "a fresh and long password"
    values = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post(reverse("account_change_password"), values).status_code == 302
    assert (here.get(PROFILE).status_code, there.get(PROFILE).status_code) == (200, 302)


# Two-factor of a tenant


@pytest.mark.parametrize("path", ["/subscriptions/", "/tenant/", "/logs/", "/identifiers/"])
def test_a_tenant_that_requires_two_factor_shows_nothing_without(owner, contoso, path):
    contoso.requires_two_factor = True
    contoso.save()
    client = sign_in(Client(), owner)
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_index"))
    assert messages_of(answer)[-1].startswith("Contoso requires a second factor.")
    TOTP.activate(owner, TOTP_SECRET)
    assert client.get(path).status_code == 200


def test_recovery_codes_alone_are_no_second_factor(owner, contoso):
    contoso.requires_two_factor = True
    contoso.save()
    Authenticator.objects.create(user=owner, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert sign_in(Client(), owner).get("/subscriptions/").status_code == 302


def test_removing_a_factor_that_a_tenant_asks_for_says_what_follows(owner, contoso):
    contoso.requires_two_factor = True
    contoso.save()
    TOTP.activate(owner, TOTP_SECRET)
    page = sign_in(Client(), owner).get(reverse("mfa_deactivate_totp")).content.decode()
    assert page.count("Contoso asks for a second factor.") == 1


def test_password_forms_carry_the_user_name(owner, owner_client):
    page = owner_client.get(reverse("account_change_password")).content.decode()
    field = f'autocomplete="username" value="{owner.email}"'
    assert page.count(field) == 1
