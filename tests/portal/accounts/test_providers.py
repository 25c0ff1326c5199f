"""Sign-in at an identity provider: who is known by what, and what is refused."""

import base64
import threading
import time
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.socialaccount.models import SocialAccount, SocialApp
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.proof import MAX_PROOF_AGE
from portal.accounts.provider_client import ProviderClient, ProviderError
from portal.accounts.providers import STARTS
from portal.mail.models import Outbox
from portal.tenants.flows.invitations import invite_member
from portal.tenants.models import Invitation, Member, Role
from tests.support.accounts import PASSWORD, TOTP_SECRET, sign_in, stale
from tests.support.answers import shape, told
from tests.support.joining import COMPLETE, FILLED, SIGN_UP, link_for, opened
from tests.support.mails import mailed_links, mails
from tests.support.oidc import (
    CLIENT_ID,
    DESCRIPTION,
    IdentityServer,
    answering,
    closing,
    dripping,
    endless,
    hanging,
)

pytestmark = pytest.mark.django_db
LOGIN = reverse("openid_connect_login", args=["company"])
PROVE = reverse("prove_at_provider", args=["company"])
CALLBACK = reverse("openid_connect_callback", args=["company"])
CONNECTIONS = reverse("socialaccount_connections")
PUT_ASIDE = "/accounts/identity/put-aside/"


def at_provider(client, provider, address=LOGIN, **query):
    """Press the button, be at the provider, and return the portal's answer to what it says."""
    return client.get(sent_back(client, provider, address, **query))


def sent_back(client, provider, address=LOGIN, **query):
    """Press the button, be at the provider, and return where it sends the browser."""
    pressed = client.post(address, query_params=query)
    assert pressed.url.startswith(f"{provider.issuer}/authorize?"), pressed.url
    back = urlsplit(provider.authorize(dict(parse_qsl(urlsplit(pressed.url).query))))
    return f"{back.path}?{back.query}"


def text(answer):
    """Return the text of a page, with single blanks."""
    return " ".join(answer.content.decode().split())


def forged_header(header):
    """Return a token with this header."""
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode() + ".e30.AA"


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


# What providers send

BUTTON = "Use a password instead"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NESTED = answering(200, b'{"keys":' + b"[" * 300_000)
RAW = {
    "a list": [],
    "a text": "description",
    "a number": 7,
    "nothing": {},
    "no JSON": answering(200, b"<html>"),
    "half a text": answering(200, b'{"issuer": "\xff'),
    "nested": NESTED,
    "a long number": answering(200, b'{"a": ' + b"1" * 5000 + b"}"),
    "an error": answering(500, b"[]"),
    "a refusal": answering(400, b'{"error": "invalid_client"}'),
    "a redirect": answering(307, Location="/realm/elsewhere"),
    "compressed": answering(200, b"\x1f\x8b", Content_Encoding="gzip"),
    "a closed door": closing,
    "no end": endless,
    "dripped headers": dripping(b"HTTP/1.1 200 OK\r\nX-A: "),
    "a dripped body": dripping(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "silence": hanging,
}


def changed(**values):
    """Return a description with other values; None takes one away."""
    return lambda right: {k: v for k, v in (right | values).items() if v is not None}


DESCRIPTIONS = RAW | {
    "no issuer": changed(issuer=None),
    "a list as issuer": changed(issuer=[]),
    "another issuer": changed(issuer="https://evil.example"),
    "no keys": changed(jwks_uri=None),
    "no token endpoint": changed(token_endpoint=None),
    "no authorization endpoint": changed(authorization_endpoint=None),
    "a list as endpoint": changed(token_endpoint=["https://evil.example"]),
    "a file": changed(jwks_uri="file:///etc/passwd"),
    "half an address": changed(token_endpoint="https://[::1"),
    "a long address": changed(authorization_endpoint="https://id.example/" + "x" * 5000),
    "a number of methods": changed(token_endpoint_auth_methods_supported=5),
}


def did_not_work(answer, caplog):
    """Return whether it ended on the page for it, with one line of the log."""
    lines = [r.getMessage() for r in caplog.records if r.name == "portal.providers"]
    assert [line.partition(": ")[0] for line in lines] == ["Sign-in at company does not work"]
    return (answer.status_code, shape(answer)[2]) == (401, "Sign-in did not work")


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_whatever_a_provider_says_about_itself_ends_on_the_page_for_it(
    client, provider, settings, caplog, what
):
    settings.IDENTITY_PROVIDER_SECONDS = 0.2
    answer = DESCRIPTIONS[what]
    is_changed = getattr(answer, "__qualname__", "").startswith("changed")
    provider.instead[DESCRIPTION] = answer(provider.describe()) if is_changed else answer
    assert did_not_work(client.post(LOGIN), caplog)
    assert provider.asked == [DESCRIPTION]
    assert not Session.objects.exists()


TOKENS = RAW | {
    "no ID token": {"access_token": "opaque"},
    "a list as ID token": {"access_token": "opaque", "id_token": []},
    "no ID token at all": {"access_token": "opaque", "id_token": "x.y.z"},
    "a nested ID token": {"id_token": forged_header(b"[" * 100_000)},
    "a list as header": {"id_token": forged_header(b"[]")},
    "a list as key identifier": {"id_token": forged_header(b'{"alg": "RS256", "kid": [1]}')},
}


@pytest.mark.parametrize("what", TOKENS)
def test_whatever_a_provider_gives_for_a_code_ends_on_the_page_for_it(
    client, provider, connected, settings, caplog, what
):
    back = sent_back(client, provider)
    settings.IDENTITY_PROVIDER_SECONDS = 0.2
    provider.instead["/token"] = TOKENS[what]
    assert did_not_work(client.get(back), caplog)
    assert "/elsewhere" not in provider.asked
    assert signed_in_as(client) is None


KEYS = RAW | {
    "a text as keys": {"keys": "x"},
    "no keys": {"keys": []},
    "numbers as keys": {"keys": [1, None]},
    "a key of lists": {"keys": [{"kty": "RSA", "kid": "1", "n": [], "e": {}}]},
    "a key of no kind": {"keys": [{"kid": "1"}]},
    "a key of kind number": {"keys": [{"kid": "1", "kty": 7, "alg": []}]},
    "the key twice": {"keys": [{"kid": "1"}, {"kid": "1"}]},
    "a secret": {"keys": [{"kty": "oct", "kid": "1", "k": "AAAA"}]},
}


@pytest.mark.parametrize("what", KEYS)
def test_whatever_keys_a_provider_publishes_end_on_the_page_for_it(
    client, provider, connected, settings, caplog, what
):
    provider.kid = str(len(what))  # nobody has fetched its key yet
    back = sent_back(client, provider)
    settings.IDENTITY_PROVIDER_SECONDS = 0.3
    provider.instead["/keys"] = KEYS[what]
    assert did_not_work(client.get(back), caplog)
    assert signed_in_as(client) is None


IMPOSSIBLE = {
    "two audiences": lambda: {"aud": [CLIENT_ID, "another"]},
    "two audiences for another": lambda: {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "a number as audience": lambda: {"aud": [7, CLIENT_ID]},
    "an empty subject": lambda: {"sub": ""},
    "a number as subject": lambda: {"sub": 7},
    "a list as end": lambda: {"exp": []},
    "an endless end": lambda: {"exp": float("inf")},
    "made in an hour": lambda: {"iat": int(time.time()) + 3600},
    "a list as nonce": lambda: {"nonce": []},
    "asked in an hour": lambda: {"auth_time": int(time.time()) + 3600},
    "asked at no number": lambda: {"auth_time": float("nan")},
    "asked at a word": lambda: {"auth_time": "now"},
    "asked at a truth": lambda: {"auth_time": True},
}


@pytest.mark.parametrize("claims", IMPOSSIBLE)
def test_an_id_token_with_claims_that_cannot_be_signs_nobody_in(
    client, provider, connected, caplog, claims
):
    provider.claims = IMPOSSIBLE[claims]()
    assert did_not_work(at_provider(client, provider), caplog)
    assert signed_in_as(client) is None


@pytest.mark.parametrize(
    "claims", [{"aud": [CLIENT_ID]}, {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}], ids=str
)
def test_an_id_token_for_several_holds_when_it_names_the_portal(
    client, provider, connected, claims
):
    provider.claims = claims
    assert at_provider(client, provider).url == "/"
    assert signed_in_as(client) == connected


@pytest.mark.parametrize(
    "value",
    ["A\x00\ud800\u202e\nB", ["A"], {"a": 1}, 7, "x" * 5000],
    ids=["control characters", "list", "object", "number", "long"],
)
def test_texts_of_a_provider_are_kept_as_one_short_line_or_not_at_all(client, provider, value):
    provider.person = {"sub": "ada", "email": value, "name": value, "more": "x" * 50_000}
    assert at_provider(client, provider).url == SIGN_UP
    assert client.get(SIGN_UP).status_code == 200
    opened(client)
    assert client.post(COMPLETE, FILLED).url == "/"
    kept = SocialAccount.objects.get().extra_data["id_token"]
    text = {"x": "x" * 254, "A": "AB"}[value[0]] if isinstance(value, str) else None
    assert (kept.get("name"), sorted(kept)) == (
        text,
        ["email", "iss", "name", "sub"] if text else ["iss", "sub"],
    )


def test_the_address_does_not_write_the_request(client, provider):
    sent = {
        "auth_params": "client_id=evil&state=known&prompt=none&redirect_uri=https://evil.example",
        "scope": "admin",
        "action": "reauthenticate",
        "prompt": "none",
    }
    sent_back(client, provider, **sent)
    asked = provider.requests[-1]
    assert [asked.pop(name) == "" for name in ("state", "nonce", "code_challenge")] == [False] * 3
    assert asked == {
        "client_id": CLIENT_ID,
        "redirect_uri": "http://testserver" + CALLBACK,
        "response_type": "code",
        "scope": "openid profile email",
        "code_challenge_method": "S256",
    }


def test_an_authorization_endpoint_keeps_its_query(client, provider):
    endpoint = f"{provider.issuer}/authorize?policy=strict"
    provider.instead[DESCRIPTION] = provider.describe() | {"authorization_endpoint": endpoint}
    sent_back(client, provider)
    assert provider.requests[-1]["policy"] == "strict"


def test_a_description_and_keys_are_asked_for_once_in_ten_minutes(client, provider, connected):
    provider.asked.clear()
    with time_machine.travel(time.time(), tick=False) as clock:
        for seconds, asked in ((0, []), (599, []), (2, [DESCRIPTION, "/keys"])):
            clock.shift(seconds)
            at_provider(Client(), provider)
            assert [path for path in provider.asked if path != "/token"] == asked
    assert provider.asked.count("/token") == 3


def test_a_new_key_is_found_at_once_and_unknown_ones_are_asked_for_once_a_minute(
    client, provider, connected
):
    provider.asked.clear()
    with time_machine.travel(time.time() + 61, tick=False) as clock:
        provider.kid = "2"
        assert at_provider(client, provider).url == "/"
        assert provider.asked.count("/keys") == 1
        provider.kid = "3"
        for seconds, asked, status in ((0, 1, 401), (59, 1, 401), (2, 2, 302)):
            clock.shift(seconds)
            answer = at_provider(Client(), provider)
            assert (provider.asked.count("/keys"), answer.status_code) == (asked, status)


def test_a_provider_that_fails_is_left_alone_for_a_while(client, provider):
    provider.instead[DESCRIPTION] = closing
    with time_machine.travel(time.time(), tick=False) as clock:
        for seconds, asked in ((0, 1), (9, 1), (2, 2)):
            clock.shift(seconds)
            assert client.post(LOGIN).status_code == 401
            assert len(provider.asked) == asked
        del provider.instead[DESCRIPTION]
        clock.shift(11)
        assert client.post(LOGIN).status_code == 302


def test_a_hanging_provider_holds_one_thread_and_others_are_told_to_wait(client, provider):
    def ask():
        with pytest.raises(ProviderError):
            ProviderClient(SocialApp(**provider.as_setting)).description()

    reached = threading.Event()

    def hangs(handler):
        reached.set()
        hanging(handler)

    provider.instead[DESCRIPTION] = hangs
    other = threading.Thread(target=ask)
    other.start()
    reached.wait(10)
    answer = client.post(LOGIN)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Too many people are signing in at identity providers" in answer.content.decode()
    assert len(provider.asked) == 1
    provider.is_over.set()
    other.join()


def test_one_client_address_starts_few_sign_ins(client, provider):
    statuses = [client.post(LOGIN).status_code for _ in range(STARTS.most + 1)]
    assert statuses == [302] * STARTS.most + [429]
    assert client.post(LOGIN, headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 429
    assert client.post(LOGIN, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_where_to_go_on_is_kept_only_when_it_is_short(client, provider):
    sent_back(client, provider, next="/" + "x" * 60_000)
    assert len(Session.objects.get().session_data) < 2000


def test_asking_by_head_starts_and_ends_nothing(client, provider, connected):
    assert client.head(LOGIN).status_code == 200
    back = sent_back(client, provider)
    assert client.head(back).status_code == 405
    assert client.get(back).url == "/"


# Providers that come and go


@pytest.fixture
def second(settings, provider):
    """Another provider, at which the portal has the same client identifier."""
    with IdentityServer("other") as server:
        configured(settings, provider, server)
        yield server


def configured(settings, *servers):
    settings.OIDC_PROVIDERS = [server.as_setting for server in servers]
    apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"] | {"APPS": settings.OIDC_PROVIDERS}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": apps}


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
    assert told(answer)[-1] == "Company did not confirm who you are. Try again."
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


# An identity that waits


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
