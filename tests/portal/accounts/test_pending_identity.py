"""An identity without account: it waits for one sign-up or invitation, and for nobody else."""

import time

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.tenants.flows.invitations import invite_member
from portal.tenants.models import Invitation, Member, Role
from tests.support.accounts import PASSWORD
from tests.support.identities import BUTTON, PUT_ASIDE, at_provider, sent_back, signed_in_as, text
from tests.support.joining import COMPLETE, FILLED, SIGN_UP, link_for, opened
from tests.support.mails import mailed_links

pytestmark = pytest.mark.django_db


def invited(tenant, owner, email, settings):
    """Return the link of an invitation to the address."""
    invite_member(tenant=tenant, email=email, role=Role.VIEWER, actor=owner.as_actor())
    return mailed_links("/invitations/")[-1].removeprefix(settings.PUBLIC_URL)


def test_the_page_names_the_identity_that_waits_and_lets_go_of_it(client, provider):
    at_provider(client, provider)
    page = text(client.get(SIGN_UP))
    assert "There is no account for your Company account ada@id.example yet." in page
    assert BUTTON in page
    opened(client)
    assert "You will sign in with your Company account ada@id.example." in text(
        client.get(COMPLETE)
    )
    assert client.post(PUT_ASIDE, {"page": "complete"}).url == COMPLETE
    assert "password" in client.get(COMPLETE).context["form"].fields
    client.post(COMPLETE, FILLED)
    assert not SocialAccount.objects.exists()
    assert client.get(PUT_ASIDE).status_code == 405


def test_an_identity_without_address_is_named_by_its_name_or_its_provider(client, provider):
    for person, name in (
        ({"name": "Ada"}, "Company account Ada"),
        ({}, "Company account"),
    ):
        provider.person = {"sub": "ada"} | person
        at_provider(client, provider)
        assert f"There is no account for your {name} yet." in text(client.get(SIGN_UP))


def test_the_next_person_at_the_browser_does_not_get_it_with_their_own_link(client, provider):
    link = link_for(Client(), "bob@next.example")
    at_provider(client, provider)  # Ada walks away
    assert client.get(link).url == COMPLETE
    assert "password" in client.get(COMPLETE).context["form"].fields
    assert client.post(COMPLETE, FILLED).url == "/"
    assert User.objects.get().email == "bob@next.example"
    assert not SocialAccount.objects.exists()


def test_an_identity_of_one_invitation_or_of_sign_up_does_not_join_by_another(
    client, provider, contoso, owner, settings
):
    first = invited(contoso, owner, "ada@work.example", settings)
    second = invited(contoso, owner, "bob@work.example", settings)
    accept = client.get(first).url
    at_provider(client, provider, next=accept)
    assert BUTTON in text(client.get(accept))
    client.get(second)
    assert BUTTON not in text(client.get(accept))
    assert BUTTON not in text(client.get(SIGN_UP))
    client.post(accept, {"name": "Bob", "password": PASSWORD})
    assert Member.objects.get(user__email="bob@work.example").user.has_usable_password()
    assert not SocialAccount.objects.exists()


def test_an_invited_person_may_put_it_aside(client, provider, contoso, owner, settings):
    accept = client.get(invited(contoso, owner, "ada@work.example", settings)).url
    at_provider(client, provider, next=accept)
    assert "Company account ada@id.example" in text(client.get(accept))
    assert client.post(PUT_ASIDE).url == accept
    assert "password" in client.get(accept).context["form"].fields


def test_it_belongs_to_the_invitation_that_was_open_when_it_began(
    client, provider, contoso, owner, settings
):
    accept = client.get(invited(contoso, owner, "ada@work.example", settings)).url
    back = sent_back(client, provider, next=accept)
    client.get(invited(contoso, owner, "bob@work.example", settings))
    assert client.get(back).url == accept
    assert BUTTON not in text(client.get(accept))


@pytest.mark.parametrize("how", ["signed out", "another person", "invitation gone", "an hour"])
def test_what_waits_ends(client, provider, contoso, owner, settings, how):
    link = invited(contoso, owner, "ada@work.example", settings)
    accept = client.get(link).url
    at_provider(client, provider, next=accept)
    assert client.session["identity_of_flow"]["flow"].startswith("invitation ")
    if how == "another person":
        client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
        assert signed_in_as(client) == owner
    elif how == "signed out":
        client.force_login(owner, backend=settings.AUTHENTICATION_BACKENDS[0])
        client.post(reverse("account_logout"))
    elif how == "invitation gone":
        Invitation.objects.update(revoked_at=timezone.now())
        assert client.get(accept).status_code == 404
    else:
        session = client.session
        session["identity_of_flow"] |= {"at": time.time() - 3601}
        session.save()
        assert BUTTON not in text(client.get(accept))
        return
    assert "identity_of_flow" not in client.session
