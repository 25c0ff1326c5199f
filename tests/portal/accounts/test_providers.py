"""Sign-in at an identity provider: who is known by what, and what is refused."""

import time
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from portal.accounts.models import User
from portal.accounts.proof import MAX_PROOF_AGE
from portal.mail.models import Outbox
from portal.tenants.flows.invitations import invite_member
from portal.tenants.models import Member, Role
from tests.support.accounts import PASSWORD, TOTP_SECRET, sign_in, stale
from tests.support.answers import messages_of
from tests.support.identities import (
    BUTTON,
    CALLBACK,
    CONNECTIONS,
    LOGIN,
    PROVE,
    at_provider,
    configured,
    sent_back,
    signed_in_as,
    text,
)
from tests.support.joining import COMPLETE, FILLED, SIGN_UP, opened
from tests.support.mails import mails
from tests.support.oidc import (
    DESCRIPTION,
    IdentityServer,
    closing,
)
from tests.support.second_factor import totp_code

pytestmark = pytest.mark.django_db


def test_a_connected_person_signs_in(client, provider, connected):
    assert at_provider(client, provider).url == "/"
    assert signed_in_as(client) == connected


def test_an_unknown_person_signs_up_with_a_verified_address_and_no_password(client, provider):
    assert at_provider(client, provider).url == SIGN_UP
    page = client.get(SIGN_UP)
    assert page.context["form"]["email"].value() == "ada@id.example"
    assert not User.objects.exists()
    opened(client, "ada@id.example")
    form = client.get(COMPLETE).context["form"]
    assert [*form.fields] == ["name", "tenant_name", "country"]
    assert form["name"].value() == "Ada"
    assert client.post(COMPLETE, FILLED).url == "/"
    user = User.objects.get()
    assert (user.has_usable_password(), signed_in_as(client)) == (False, user)
    other = Client()
    assert at_provider(other, provider).url == "/"
    assert signed_in_as(other) == user


def test_an_email_address_never_leads_to_an_account(client, provider, owner):
    provider.person = {"sub": "mallory", "email": owner.email, "email_verified": True}
    assert at_provider(client, provider).url == SIGN_UP
    assert signed_in_as(client) is None
    client.post(SIGN_UP, {"email": owner.email})
    assert mails()[0].subject == "You have an account already"
    assert not SocialAccount.objects.exists()


def test_a_subject_of_another_issuer_is_somebody_else(client, provider, connected, settings):
    with IdentityServer() as other:
        apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": apps | {"APPS": [other.as_setting]}}
        assert other.person["sub"] == provider.person["sub"]
        assert at_provider(client, other).url == SIGN_UP
    assert signed_in_as(client) is None


def test_closed_sign_up_is_closed_for_providers_too(client, provider, settings):
    settings.OPEN_SIGN_UP = False
    assert at_provider(client, provider).url == SIGN_UP
    assert client.get(SIGN_UP).status_code == 403


def test_the_second_factor_is_asked_for_after_the_provider(client, provider, connected):
    TOTP.activate(connected, TOTP_SECRET)
    assert at_provider(client, provider).url == reverse("mfa_authenticate")
    assert signed_in_as(client) is None
    code = totp_code()
    assert client.post(reverse("mfa_authenticate"), {"code": code}).url == "/"
    assert signed_in_as(client) == connected


def test_a_tenant_that_requires_two_factor_requires_it_after_a_provider(
    client, provider, connected, contoso
):
    contoso.requires_two_factor = True
    contoso.save()
    at_provider(client, provider)
    assert client.get("/subscriptions/").url == reverse("mfa_index")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"azp": "another"},
        {"exp": 1},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"iat": None},
    ],
    ids=lambda claims: "-".join(map(str, next(iter(claims.items())))),
)
def test_an_id_token_that_does_not_hold_signs_nobody_in(client, provider, connected, claims):
    provider.claims = claims
    answer = at_provider(client, provider)
    assert answer.content.decode().count("<h1>Sign-in did not work</h1>") == 1
    assert signed_in_as(client) is None


def test_a_foreign_signature_signs_nobody_in(client, provider, connected):
    provider.key = rsa.generate_private_key(65537, 2048)
    assert "Sign-in did not work" in at_provider(client, provider).content.decode()
    assert signed_in_as(client) is None


def test_an_unsigned_id_token_signs_nobody_in(client, provider, connected, monkeypatch):
    monkeypatch.setattr(
        provider,
        "_signed",
        lambda query: jwt.encode(
            {"iss": provider.issuer, "sub": "ada", "aud": "portal", "nonce": query["nonce"]}
            | {"iat": int(time.time()), "exp": int(time.time()) + 60},
            "",
            "none",
            headers={"kid": "1"},
        ),
    )
    assert "Sign-in did not work" in at_provider(client, provider).content.decode()
    assert signed_in_as(client) is None


def test_an_answer_without_a_question_signs_nobody_in(client, provider, connected):
    callback = reverse("openid_connect_callback", args=["company"])
    answer = client.get(callback, {"code": "any", "state": "any"})
    assert "Sign-in did not work" in answer.content.decode()


def test_a_provider_that_is_away_is_told(client, provider):
    provider._server.shutdown()
    provider._server.server_close()
    assert "Sign-in did not work" in client.post(LOGIN).content.decode()


def test_a_provider_that_is_not_configured_does_not_exist(client, provider):
    assert client.post(reverse("openid_connect_login", args=["other"])).status_code == 404


def test_a_link_alone_starts_no_sign_in(client, provider):
    assert client.get(LOGIN).status_code == 200
    assert provider.requests == []


# Proof


def asked_again(client, path):
    """Follow the portal to where it asks for a proof; return the address."""
    first = client.get(path)
    assert first.url == f"/accounts/reauthenticate/?next={path.replace('/', '%2F')}"
    return client.get(first.url).url


def test_a_sign_in_at_a_provider_is_no_proof_and_its_answer_to_max_age_is(
    client, provider, connected
):
    at_provider(client, provider)
    page = asked_again(client, CONNECTIONS)
    assert page.startswith(PROVE)
    answer = at_provider(client, provider, page)
    question = provider.requests[-1]
    assert (question["max_age"], question["prompt"]) == ("0", "login")
    assert answer.url == CONNECTIONS
    assert client.get(CONNECTIONS).status_code == 200


def test_a_provider_that_did_not_ask_again_has_proven_nothing(client, provider, connected):
    at_provider(client, provider)
    provider.asks = False
    answer = at_provider(client, provider, asked_again(client, CONNECTIONS))
    assert messages_of(answer)[-1].startswith(
        "The provider did not confirm that it asked you just now"
    )
    assert client.get(CONNECTIONS).status_code == 302


@pytest.mark.parametrize("value", [None, "now", True])
def test_a_provider_that_does_not_say_when_has_proven_nothing(client, provider, connected, value):
    at_provider(client, provider)
    provider.claims = {"auth_time": value}
    at_provider(client, provider, asked_again(client, CONNECTIONS))
    assert client.get(CONNECTIONS).status_code == 302


def test_the_proof_of_somebody_else_is_none(client, provider, connected):
    at_provider(client, provider)
    page = asked_again(client, CONNECTIONS)
    provider.person = {"sub": "mallory"}
    at_provider(client, provider, page)
    assert client.get(CONNECTIONS).status_code == 302
    assert signed_in_as(client) == connected


def test_nobody_turns_a_sign_in_into_a_proof(client, provider, connected):
    at_provider(client, provider)
    at_provider(client, provider, process="redirect")
    assert client.get(CONNECTIONS).status_code == 302


def test_a_proof_at_the_provider_ages(client, provider, connected):
    at_provider(client, provider)
    at_provider(client, provider, asked_again(client, CONNECTIONS))
    session = client.session
    for proof in session["account_authentication_methods"]:
        proof["at"] -= MAX_PROOF_AGE.total_seconds()
    session.save()
    assert client.get(CONNECTIONS).status_code == 302


def test_connecting_wants_a_recent_proof(provider, owner):
    client = sign_in(Client(), owner, at=stale())
    answer = at_provider(client, provider, process="connect")
    assert answer.url.startswith("/accounts/reauthenticate/")
    assert not SocialAccount.objects.exists()


def test_an_identity_of_somebody_else_is_not_connected(provider, connected, viewer):
    client = sign_in(Client(), viewer)
    at_provider(client, provider, process="connect")
    assert SocialAccount.objects.get().user == connected


def test_who_has_no_other_way_in_can_not_disconnect(provider, connected):
    client = sign_in(Client(), connected)
    answer = client.post(CONNECTIONS, {"account": SocialAccount.objects.get().pk})
    assert answer.context["form"].errors
    assert SocialAccount.objects.count() == 1


def test_an_invited_person_joins_with_their_identity(client, provider, contoso, owner, settings):
    settings.OPEN_SIGN_UP = False
    invite_member(
        tenant=contoso, email="ada@work.example", role=Role.MANAGER, actor=owner.as_actor()
    )
    [link] = [line for line in Outbox.objects.get().text.splitlines() if "/invitations/" in line]
    accept = client.get(link.removeprefix(settings.PUBLIC_URL)).url
    assert at_provider(client, provider, next=accept).url == accept
    page = client.get(accept)
    assert [*page.context["form"].fields] == ["name"]
    assert client.post(accept, {"name": "Ada"}).url == "/"
    member = Member.objects.get(user__email="ada@work.example")
    assert (member.role, member.user.socialaccount_set.count()) == ("manager", 1)
    assert signed_in_as(client) == member.user


# Providers that come and go


@pytest.fixture
def second(settings, provider):
    """Another provider, at which the portal has the same client identifier."""
    with IdentityServer("other") as server:
        configured(settings, provider, server)
        yield server


def test_two_providers_with_one_client_identifier_are_two(client, provider, second):
    other = reverse("openid_connect_login", args=["other"])
    assert at_provider(client, second, other).url == SIGN_UP
    opened(client, "ada@id.example")
    assert "You will sign in with your Other account ada@id.example." in text(client.get(COMPLETE))
    assert client.post(COMPLETE, FILLED).url == "/"
    assert SocialAccount.objects.get().provider == "other"
    assert at_provider(Client(), provider).url == SIGN_UP


def test_a_provider_that_is_gone_while_an_identity_waits_is_forgotten(client, provider, settings):
    at_provider(client, provider)
    opened(client, "ada@id.example")
    configured(settings)
    assert "Company" not in text(client.get(SIGN_UP))
    assert "password" in client.get(COMPLETE).context["form"].fields


def test_a_provider_that_is_gone_during_a_sign_in_does_not_exist(client, provider, settings):
    back = sent_back(client, provider)
    configured(settings)
    assert client.get(back).status_code == 404


def test_what_is_connected_with_a_provider_that_is_gone_can_be_ended(provider, connected, settings):
    connected.set_password(PASSWORD)
    connected.save()
    client = sign_in(Client(), connected)
    configured(settings)
    account = SocialAccount.objects.get()
    assert "company" in text(client.get(CONNECTIONS))
    assert client.post(PROVE)["Location"] == reverse("account_reauthenticate")
    assert client.post(CONNECTIONS, {"account": account.pk}).status_code == 302
    assert not SocialAccount.objects.exists()


# Back to where it began


@pytest.mark.parametrize(
    "fault", ["away", "no token", "access_denied", "login_required", "another nonce"]
)
def test_a_proof_that_fails_comes_back_to_where_it_was_asked_for(
    client, provider, connected, fault
):
    at_provider(client, provider)
    page = asked_again(client, CONNECTIONS)
    if fault == "away":
        with time_machine.travel(time.time() + 601, tick=False):
            provider.instead[DESCRIPTION] = closing
            answer = client.post(page)
    elif fault == "no token":
        provider.instead["/token"] = {}
        answer = at_provider(client, provider, page)
    elif fault == "another nonce":
        provider.claims = {"nonce": "another"}
        answer = at_provider(client, provider, page)
    else:
        back = sent_back(client, provider, page)
        state = dict(parse_qsl(urlsplit(back).query))["state"]
        answer = client.get(CALLBACK, {"error": fault, "state": state})
    assert answer.url == reverse("account_reauthenticate", query={"next": CONNECTIONS})
    assert messages_of(answer)[-1] == "Company did not confirm who you are. Try again."
    assert client.get(CONNECTIONS).status_code == 302


def test_a_connection_that_fails_comes_back_to_the_connections(owner, provider):
    client = sign_in(Client(), owner)
    provider.instead["/token"] = {}
    assert at_provider(client, provider, process="connect").url == CONNECTIONS


def test_an_unknown_identity_does_not_wait_while_somebody_is_signed_in(owner, provider):
    client = sign_in(Client(), owner)
    assert at_provider(client, provider).url == "/"
    client.post(reverse("account_logout"))
    assert BUTTON not in text(client.get(SIGN_UP))
