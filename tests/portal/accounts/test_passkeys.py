"""What answers of passkeys must say, what is refused, and where a proof that failed leads."""

import json
import threading
import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.db import connections
from django.db.models.signals import pre_save
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP, format_hotp_value, hotp_value
from portal.accounts.models import PasskeyCredential, User
from portal.accounts.passkeys import CHALLENGE, CHALLENGE_LASTS, MAX_CREDENTIAL
from portal.activity.models import LogEntry
from tests.support.accounts import PASSWORD, TOTP_SECRET, make_user, sign_in, stale
from tests.support.license_flows import meanwhile
from tests.support.security_keys import SecurityKey

pytestmark = pytest.mark.django_db
LOGIN, ADD = reverse("mfa_login_webauthn"), reverse("mfa_add_webauthn")
PROVE, SECOND_STEP = reverse("mfa_reauthenticate_webauthn"), reverse("mfa_authenticate")
NOT_ADDED = "The passkey could not be added. Try again, or use another one."
NOT_CONFIRMED = "The passkey did not confirm that it is you. Try again, or choose another way."
OURS = "https://portal.example"
ELSEWHERE = [
    {"origin": "https://login.portal.example"},
    {"origin": "https://portal.example:8443"},
    {"origin": "http://portal.example"},
    {"origin": "https://portal.example/"},
    {"origin": "https://evil.example"},
    {"crossOrigin": True},
]
FROM_ELSEWHERE = pytest.mark.parametrize("client_data", [ELSEWHERE[0], ELSEWHERE[-1]], ids=str)
NASTY = [
    "{",
    "[]",
    "1",
    '"x"',
    "[" * 60_000,
    "x" * (MAX_CREDENTIAL + 1),
    "{}",
    '{"response": null}',
    json.dumps({"id": 1, "rawId": [], "response": {"userHandle": {}}, "type": "public-key"}),
    json.dumps(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": dict.fromkeys(
                ["clientDataJSON", "authenticatorData", "signature", "attestationObject"], "AA"
            ),
        }
    ),
]


@pytest.mark.parametrize("credential", [n for n in NASTY if n != "{}"], ids=lambda n: n[:20])
def test_an_answer_that_cannot_be_read_is_a_bad_request(credential, owner_client):
    assert Client().post(LOGIN, {"credential": credential}).status_code == 400
    assert owner_client.post(ADD, {"credential": credential}).status_code == 400


def test_a_new_passkey_is_one_that_signs_in(owner_client):
    page = owner_client.get(ADD)
    wanted = page.context["js_data"]["creation_options"]["publicKey"]["authenticatorSelection"]
    assert (wanted["residentKey"], wanted["userVerification"]) == ("required", "required")
    assert [*page.context["form"].fields] == ["name", "credential"]


def test_password_managers_find_the_change(owner):
    TOTP.activate(owner, TOTP_SECRET)
    answer = sign_in(Client(), owner).get("/.well-known/change-password")
    assert answer["Location"] == reverse("account_change_password")


@pytest.fixture
def key(settings) -> SecurityKey:
    """A key whose browser is at the portal."""
    settings.PUBLIC_URL = OURS
    return SecurityKey(OURS)


def adds(client, key, **answer):
    options = client.get(ADD).context["js_data"]["creation_options"]["publicKey"]
    credential = key.register(jsonable(options), **answer)
    return client.post(ADD, {"credential": json.dumps(credential)})


def jsonable(options):
    """Return the options as the page shows them to its script."""
    return json.loads(json.dumps(options, default=dict))


def asks(client):
    """Return what a sign-in asks of a passkey."""
    return client.get(LOGIN, headers={"accept": "application/json"}).json()


def signs_in(client, key, **answer):
    options = asks(client)["request_options"]["publicKey"]
    return client.post(LOGIN, {"credential": json.dumps(key.answer(options, **answer))})


def proves(client, key, *, then, **answer):
    page = client.get(PROVE, {"next": then})
    options = jsonable(page.context["js_data"]["request_options"]["publicKey"])
    credential = json.dumps(key.answer(options, **answer))
    return client.post(PROVE, {"credential": credential, "next": then})


def said(answer):
    return [str(message) for message in get_messages(answer.wsgi_request)]


def is_signed_in(client):
    return "_auth_user_id" in client.session


@pytest.fixture
def registered(owner, key) -> SecurityKey:
    """The owner's passkey."""
    assert adds(sign_in(Client(), owner), key).status_code == 302
    return key


def test_a_passkey_signs_in_and_proves(owner, registered):
    client = Client()
    assert signs_in(client, registered)["Location"] == reverse("home")
    assert is_signed_in(client)
    old = sign_in(Client(), owner, at=stale())
    assert proves(old, registered, then="/profile/")["Location"] == "/profile/"


def test_strangers_who_ask_or_fail_make_no_session(registered):
    sessions = set(Session.objects.values_list("pk", flat=True))
    client = Client()
    options = asks(client)["request_options"]["publicKey"]
    assert client.get(LOGIN, headers={"x-requested-with": "XMLHttpRequest"}).status_code == 200
    wrong = json.dumps(registered.answer(options))
    assert client.post(LOGIN, {"credential": wrong})["Location"] == reverse("account_login")
    assert set(Session.objects.values_list("pk", flat=True)) == sessions
    assert "sessionid" not in client.cookies


def test_a_challenge_counts_once_and_for_an_hour(registered, time_machine):
    client, other = Client(), Client()
    options = asks(client)["request_options"]["publicKey"]
    other.cookies[CHALLENGE] = client.cookies[CHALLENGE].value
    credential = json.dumps(registered.answer(options))
    client.post(LOGIN, {"credential": credential})
    other.post(LOGIN, {"credential": credential})
    assert [is_signed_in(client), is_signed_in(other)] == [True, False]
    time_machine.move_to(timezone.now(), tick=False)
    late = Client()
    options = asks(late)["request_options"]["publicKey"]
    time_machine.shift(CHALLENGE_LASTS + timedelta(seconds=1))
    late.post(LOGIN, {"credential": json.dumps(registered.answer(options))})
    assert not is_signed_in(late)


def test_what_the_second_step_asked_signs_nobody_in(owner, registered):
    """It does not ask the device to verify its user."""
    client = Client()
    client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    options = jsonable(client.get(SECOND_STEP).context["js_data"]["request_options"]["publicKey"])
    credential = json.dumps(registered.answer(options, verified=False))
    client.post(LOGIN, {"credential": credential})
    assert not is_signed_in(client)


def test_what_another_page_asked_proves_nothing(owner, registered):
    client = sign_in(Client(), owner, at=stale())
    options = jsonable(client.get(PROVE).context["js_data"]["request_options"]["publicKey"])
    session = client.session
    session["mfa.webauthn.state"] |= {"user_verification": "preferred"}
    session.save()
    credential = json.dumps(registered.answer(options, verified=False))
    answer = client.post(PROVE, {"credential": credential, "next": "/profile/"})
    assert said(answer) == [NOT_CONFIRMED]


@FROM_ELSEWHERE
def test_no_passkey_is_added_from_elsewhere(client_data, owner_client, key):
    answer = adds(owner_client, key, **client_data)
    assert (answer.status_code, answer.context["form"].non_field_errors()) == (200, [NOT_ADDED])
    assert not Authenticator.objects.exists()


def test_no_passkey_is_added_that_did_not_ask_who_uses_it(owner_client, key):
    answer = adds(owner_client, key, verified=False)
    assert (answer.status_code, answer.context["form"].non_field_errors()) == (200, [NOT_ADDED])


def test_a_passkey_belongs_to_one_account(owner, registered):
    other = sign_in(Client(), make_user(email="other@contoso.example"))
    answer = adds(other, registered)
    assert answer.status_code == 200
    assert answer.context["form"].non_field_errors() == [
        "This passkey belongs to an account already."
    ]
    assert Authenticator.objects.get(type="webauthn").user == owner


def test_a_passkey_that_another_account_added_in_between_is_refused(owner, manager, key):
    first, second = sign_in(Client(), owner), sign_in(Client(), manager)
    options = jsonable(first.get(ADD).context["js_data"]["creation_options"]["publicKey"])
    credential = json.dumps(key.register(options))
    others = jsonable(second.get(ADD).context["js_data"]["creation_options"]["publicKey"])
    same = json.dumps(key.register(others))
    with meanwhile(lambda: first.post(ADD, {"credential": credential})):
        answer = second.post(ADD, {"credential": same})
    assert (answer.status_code, answer.context["form"].non_field_errors()) == (
        200,
        ["This passkey belongs to an account already."],
    )
    assert said(answer) == []
    assert Authenticator.objects.get(type="webauthn").user == owner


def test_a_passkey_that_was_removed_can_be_added_again(owner, manager, registered):
    """Also when version 1.0 removed it, which knows nothing of credentials."""
    Authenticator.objects.filter(user=owner).delete()
    assert not PasskeyCredential.objects.exists()
    assert adds(sign_in(Client(), owner), registered).status_code == 302
    Authenticator.objects.filter(user=owner)._raw_delete("default")
    assert adds(sign_in(Client(), manager), registered).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["passkey", "app"])
def test_of_two_first_factors_at_once_each_is_added(first, owner, key):
    """The second begins when the first is about to make the recovery codes."""
    client, other = sign_in(Client(), owner), sign_in(Client(), owner)
    options = jsonable(client.get(ADD).context["js_data"]["creation_options"]["publicKey"])
    credential = json.dumps(key.register(options))
    activate = reverse("mfa_activate_totp")
    secret = other.get(activate).context["form"].secret
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    steps = [
        lambda: client.post(ADD, {"credential": credential}),
        lambda: other.post(activate, {"code": code}),
    ]
    if first == "app":
        steps.reverse()
    answers = []

    def last():
        try:
            answers.append(steps[1]())
        finally:
            connections.close_all()

    thread = threading.Thread(target=last)

    def begin(instance, **_):
        if instance.type == "recovery_codes" and thread.ident is None:
            thread.start()
            thread.join(1)

    pre_save.connect(begin, sender=Authenticator)
    try:
        answers.append(steps[0]())
        thread.join()
    finally:
        pre_save.disconnect(begin, sender=Authenticator)
    assert [answer.status_code for answer in answers] == [302, 302]
    types = Authenticator.objects.filter(user=owner).values_list("type", flat=True)
    assert sorted(types) == ["recovery_codes", "totp", "webauthn"]


def test_no_passkey_is_added_under_another_identifier_than_it_attests(owner_client, key):
    options = jsonable(owner_client.get(ADD).context["js_data"]["creation_options"]["publicKey"])
    credential = key.register(options) | {"id": "AAAA", "rawId": "AAAA"}
    answer = owner_client.post(ADD, {"credential": json.dumps(credential)})
    assert (answer.status_code, answer.context["form"].non_field_errors()) == (200, [NOT_ADDED])


@pytest.mark.parametrize("client_data", ELSEWHERE, ids=str)
def test_no_passkey_signs_in_from_elsewhere(client_data, registered):
    client = Client()
    answer = signs_in(client, registered, **client_data)
    assert (answer["Location"], said(answer)) == (reverse("account_login"), [NOT_CONFIRMED])
    assert not is_signed_in(client)


@pytest.mark.parametrize(("before", "after"), [(7, 7), (7, 0)])
def test_a_count_that_regresses_signs_nobody_in(before, after, registered):
    registered.count = before
    assert signs_in(Client(), registered)["Location"] == reverse("home")
    registered.count = after
    client = Client()
    answer = signs_in(client, registered)
    assert (answer["Location"], said(answer)) == (reverse("account_login"), [NOT_CONFIRMED])
    assert not is_signed_in(client)
    registered.count = before + 1
    assert signs_in(Client(), registered)["Location"] == reverse("home")


def test_the_count_of_the_registration_is_the_first(owner, key):
    key.count = 100
    adds(sign_in(Client(), owner), key)
    for count, may in [(5, False), (100, False), (101, True)]:
        key.count, client = count, Client()
        signs_in(client, key)
        assert is_signed_in(client) == may


def test_a_count_that_another_sign_in_used_meanwhile_is_refused(registered):
    def used():
        passkey = Authenticator.objects.get(type="webauthn")
        Authenticator.objects.update(data=passkey.data | {"sign_count": 8})

    registered.count, client = 8, Client()
    options = asks(client)["request_options"]["publicKey"]
    credential = json.dumps(registered.answer(options))
    with meanwhile(used):
        client.post(LOGIN, {"credential": credential})
    assert not is_signed_in(client)


def test_a_passkey_that_never_counts_signs_in_each_time(registered):
    assert [signs_in(Client(), registered)["Location"] for _ in range(2)] == [reverse("home")] * 2


def test_a_passkey_signs_in_to_its_own_account_only(registered):
    other = make_user(email="other@contoso.example")
    theirs = SecurityKey(OURS)
    assert adds(sign_in(Client(), other), theirs).status_code == 302
    theirs.user_handle = registered.user_handle
    client = Client()
    answer = signs_in(client, theirs)
    assert (answer["Location"], said(answer)) == (reverse("account_login"), [NOT_CONFIRMED])
    assert not is_signed_in(client)


def test_a_passkey_that_did_not_ask_who_uses_it_signs_nobody_in(owner, registered, contoso):
    client = Client()
    answer = signs_in(client, registered, verified=False)
    row = LogEntry.objects.of_action("person.sign_in_failed").get(tenant_id=contoso.pk)
    assert row.details == {"account": owner.email, "way": "passkey"}
    assert (answer["Location"], said(answer)) == (reverse("account_login"), [NOT_CONFIRMED])
    assert not is_signed_in(client)


def test_a_passkey_of_a_deactivated_person_is_a_failed_sign_in(owner, registered, contoso):
    User.objects.filter(pk=owner.pk).update(is_active=False)
    client = Client()
    assert signs_in(client, registered)["Location"] == reverse("account_inactive")
    row = LogEntry.objects.of_action("person.sign_in_failed").get(tenant_id=contoso.pk)
    assert row.details == {"account": owner.email, "way": "passkey (deactivated)"}
    assert not is_signed_in(client)


@pytest.mark.parametrize("bad", [ELSEWHERE[0], {"verified": False}], ids=str)
def test_a_proof_that_failed_comes_back_to_where_it_started(bad, owner, registered):
    client = sign_in(Client(), owner, at=stale())
    answer = proves(client, registered, then="/profile/", **bad)
    assert (answer.status_code, said(answer)) == (302, [NOT_CONFIRMED])
    assert answer["Location"] == f"{PROVE}?next=%2Fprofile%2F"
    assert client.get(reverse("account_email")).status_code == 302
    assert proves(client, registered, then="/profile/")["Location"] == "/profile/"
    assert client.get(reverse("account_email")).status_code == 200


def test_the_passkey_of_somebody_else_is_no_proof(owner, registered):
    other = make_user(email="other@contoso.example")
    assert adds(sign_in(Client(), other), SecurityKey(OURS)).status_code == 302
    client = sign_in(Client(), other, at=stale())
    answer = proves(client, registered, then="/profile/")
    assert (answer.status_code, said(answer)) == (302, [NOT_CONFIRMED])
    row = LogEntry.objects.of_action("person.sign_in_failed").get()
    assert row.details == {"account": other.email, "way": "passkey at a proof"}


def test_failed_passkeys_are_bounded_by_the_hour_and_of_nobody_in_the_process_log(
    registered, contoso, caplog
):
    for _ in range(11):
        signs_in(Client(), registered, crossOrigin=True)
    registered.user_handle = ""
    signs_in(Client(), registered)
    rows = LogEntry.objects.of_action("person.sign_in_failed").filter(tenant_id=contoso.pk)
    assert rows.count() == 10
    lines = [record.getMessage() for record in caplog.records if record.name == "portal.sign_in"]
    assert lines[-1] == "Sign-in failed: account=unknown way='passkey' from='127.0.0.1'"
    assert len(lines) == 2


@FROM_ELSEWHERE
def test_no_passkey_is_a_second_step_from_elsewhere(client_data, owner, registered):
    client = Client()
    client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    options = jsonable(client.get(SECOND_STEP).context["js_data"]["request_options"]["publicKey"])
    credential = json.dumps(registered.answer(options, **client_data))
    answer = client.post(SECOND_STEP, {"credential": credential})
    errors = answer.context["webauthn_form"].errors["credential"]
    assert (answer.status_code, errors) == (200, [NOT_CONFIRMED])
    assert not is_signed_in(client)


def test_the_name_of_a_passkey_has_a_length(owner_client, registered):
    proves(owner_client, registered, then="/profile/")
    passkey = Authenticator.objects.get(type="webauthn")
    edit = reverse("mfa_edit_webauthn", args=[passkey.pk])
    assert owner_client.post(edit, {"name": "x" * 101}).status_code == 200
    assert owner_client.post(edit, {"name": "x" * 100}).status_code == 302


# Security keys: a second factor, and no passkey


ADD_KEY = reverse("mfa_add_security_key")


@pytest.fixture
def security_key(owner, key) -> SecurityKey:
    """The owner's security key, which does not know who touches it."""
    client = sign_in(Client(), owner)
    page = client.get(ADD_KEY)
    options = jsonable(page.context["js_data"]["creation_options"]["publicKey"])
    wanted = options["authenticatorSelection"]
    assert (wanted["residentKey"], wanted["userVerification"]) == ("discouraged", "preferred")
    credential = json.dumps(key.register(options, verified=False))
    assert client.post(ADD_KEY, {"credential": credential}).status_code == 302
    return key


def test_a_security_key_is_stored_as_one(owner, security_key, contoso):
    page = sign_in(Client(), owner).get(reverse("mfa_index"))
    counts = [len(page.context[name]) for name in ("security_keys", "passkeys")]
    assert counts == [1, 0]
    assert LogEntry.objects.get(tenant_id=contoso.pk).action == "person.security_key_added"


def test_a_security_key_is_asked_for_after_the_password_and_proves(owner, security_key):
    client = Client()
    client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    options = jsonable(client.get(SECOND_STEP).context["js_data"]["request_options"]["publicKey"])
    credential = json.dumps(security_key.answer(options, verified=False))
    client.post(SECOND_STEP, {"credential": credential})
    assert is_signed_in(client)
    old = sign_in(Client(), owner, at=stale())
    answer = proves(old, security_key, then="/profile/", verified=False)
    assert (answer["Location"], said(answer)) == ("/profile/", [])


def test_a_security_key_alone_signs_nobody_in(security_key):
    client = Client()
    signs_in(client, security_key)
    assert not is_signed_in(client)


def test_a_passkey_beside_a_security_key_still_verifies_its_user(owner, security_key):
    passkey, client = SecurityKey(OURS), sign_in(Client(), owner)
    proves(client, security_key, then=ADD, verified=False)
    assert adds(client, passkey).status_code == 302
    old = sign_in(Client(), owner, at=stale())
    assert said(proves(old, passkey, then="/profile/", verified=False)) == [NOT_CONFIRMED]
    assert proves(old, passkey, then="/profile/")["Location"] == "/profile/"


# What the second step offers


@pytest.mark.parametrize(
    ("types", "offered"),
    [
        ({"totp"}, {"code"}),
        ({"totp", "recovery_codes"}, {"code", "recovery code"}),
        ({"webauthn"}, {"key"}),
        ({"webauthn", "recovery_codes"}, {"key", "code", "recovery code"}),
        ({"webauthn", "totp"}, {"key", "code"}),
    ],
)
def test_the_second_step_offers_what_one_has_and_a_way_out(types, offered, owner, security_key):
    TOTP.activate(owner, TOTP_SECRET)
    Authenticator.objects.filter(user=owner).exclude(type__in=types).delete()
    client = Client()
    client.post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    page = client.get(SECOND_STEP).content.decode()
    marks = {"code": 'name="code"', "key": 'name="credential"', "recovery code": "recovery codes."}
    assert {name for name, mark in marks.items() if mark in page} == offered
    assert page.count("I have lost my second factor") == 1
