"""Sign-in at an identity provider: who is known by what, and what is refused."""

import time
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.proof import MAX_PROOF_AGE
from portal.mail.models import Outbox
from portal.tenants.flows.invitations import invite_member
from portal.tenants.models import Member, Role
from tests.support.accounts import TOTP_SECRET, sign_in, stale
from tests.support.answers import told
from tests.support.joining import COMPLETE, FILLED, SIGN_UP, opened
from tests.support.mails import mails
from tests.support.oidc import IdentityServer

pytestmark = pytest.mark.django_db
LOGIN = reverse("openid_connect_login", args=["company"])
PROVE = reverse("prove_at_provider", args=["company"])
CONNECTIONS = reverse("socialaccount_connections")


def at_provider(client, provider, address=LOGIN, **query):
    """Press the button, be at the provider, and return the portal's answer to what it says."""
    pressed = client.post(address, query_params=query)
    assert pressed.url.startswith(f"{provider.issuer}/authorize?"), pressed.url
    back = provider.authorize(dict(parse_qsl(urlsplit(pressed.url).query)))
    return client.get(urlsplit(back).path, dict(parse_qsl(urlsplit(back).query)))


@pytest.fixture
def connected(owner, provider) -> User:
    """The owner, who has connected the provider and has no password."""
    at_provider(sign_in(Client(), owner), provider, process="connect")
    assert SocialAccount.objects.get().user == owner
    owner.set_unusable_password()
    owner.save()
    return owner


def signed_in_as(client):
    return User.objects.filter(pk=client.session.get("_auth_user_id")).first()


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
    code = format_hotp_value(hotp_value(TOTP_SECRET, int(time.time()) // 30))
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
    assert told(answer)[-1].startswith("The provider did not confirm that it asked you just now")
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
