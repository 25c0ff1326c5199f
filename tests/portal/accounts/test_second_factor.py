"""Second factors: codes count once, prove instead of the password, and are encrypted at rest."""

import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from portal.accounts.totp import use_code
from portal.activity.models import LogEntry
from tests.support.accounts import PASSWORD, TOTP_SECRET, make_user, sign_in, stale
from tests.support.mails import mails
from tests.support.races import race
from tests.support.second_factor import make_recovery_codes, totp_code

pytestmark = pytest.mark.django_db
AUTHENTICATE, LOGIN = reverse("mfa_authenticate"), reverse("account_login")
NOON = 1_800_000_000


@pytest.fixture
def app(owner) -> Authenticator:
    return TOTP.activate(owner, TOTP_SECRET).instance


def enters(client, user, code):
    client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    return client.post(AUTHENTICATE, {"code": code})


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, False)])
def test_a_code_is_one_step_late_at_most(app, steps, is_good):
    assert use_code(app, totp_code(at=NOON + 30 * steps), now=NOON) is is_good


def test_a_code_counts_once_whatever_the_caches_know(app):
    assert use_code(app, totp_code(at=NOON), now=NOON)
    cache.clear()
    stale_row = Authenticator.objects.get(pk=app.pk)
    stale_row.data.pop("last_step")
    assert not use_code(stale_row, totp_code(at=NOON), now=NOON)
    assert not use_code(app, totp_code(at=NOON - 30), now=NOON)
    assert use_code(app, totp_code(at=NOON + 30), now=NOON + 30)


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_uses_the_code(owner, app):
    assert sorted(race(lambda: use_code(app, totp_code(at=NOON), now=NOON))) == [False, True]


def test_the_code_of_the_set_up_does_not_work_again(owner):
    client = sign_in(Client(), owner)
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    code = totp_code(secret)
    assert client.post(reverse("mfa_activate_totp"), {"code": code}).status_code == 302
    assert client.get(reverse("mfa_view_recovery_codes")).status_code == 200
    assert enters(Client(), owner, code).status_code == 200
    with time_machine.travel(time.time() + 60):
        fresh = totp_code(secret)
        assert enters(Client(), owner, fresh).status_code == 302


def test_a_password_proves_nothing_for_who_has_a_second_factor(owner, app):
    client = sign_in(Client(), owner, at=stale())
    email, prove = reverse("account_email"), reverse("mfa_reauthenticate")
    asked = client.get(email)["Location"]
    client.post(asked, {"password": PASSWORD})
    assert client.get(email).status_code == 302
    assert client.post(f"{prove}?next={email}", {"code": totp_code()})["Location"] == email
    assert client.get(email).status_code == 200


def test_secrets_are_encrypted_and_encrypted_anew(owner, settings):
    TOTP.activate(owner, TOTP_SECRET)
    codes = make_recovery_codes(owner)
    stored = [str(row.data) for row in Authenticator.objects.order_by("pk")]
    assert [TOTP_SECRET in row for row in stored] == [False, False]
    old, new = settings.KEY_ENCRYPTION_KEYS, Fernet.generate_key().decode()
    settings.KEY_ENCRYPTION_KEYS = [new, *old]
    call_command("reencrypt_signing_keys")
    settings.KEY_ENCRYPTION_KEYS = [new]
    app, kept = Authenticator.objects.order_by("pk")
    assert use_code(app, totp_code(at=NOON), now=NOON)
    assert kept.wrap().get_unused_codes() == codes


def test_the_secret_of_a_set_up_waits_encrypted(owner_client):
    secret = owner_client.get(reverse("mfa_activate_totp")).context["form"].secret
    assert secret not in str(dict(owner_client.session))


def test_a_secret_of_before_still_works(owner):
    app = Authenticator.objects.create(user=owner, type="totp", data={"secret": TOTP_SECRET})
    assert use_code(app, totp_code(at=NOON), now=NOON)


def test_a_used_recovery_code_is_mailed_and_recorded(owner, app, contoso):
    code = make_recovery_codes(owner)[0]
    assert enters(Client(), owner, code).status_code == 302
    [mail] = mails()
    assert (mail.to, mail.subject) == ([owner.email], "A recovery code was used")
    assert "9 are left" in mail.body
    row = LogEntry.objects.get(tenant_id=contoso.pk, action="person.recovery_code_used")
    assert row.details == {"left": 9}


@time_machine.travel(NOON, tick=False)
def test_wrong_codes_of_a_stranger_are_mailed_once_and_lock_no_known_browser_out(owner, app):
    known = Client()
    assert enters(known, owner, totp_code(at=NOON - 30)).status_code == 302
    known.post(reverse("account_logout"))
    stranger = Client()
    for _ in range(7):
        enters(stranger, owner, "000000")
    assert [mail.subject for mail in mails()] == ["Wrong codes at your sign-in"]
    assert enters(Client(), owner, totp_code(at=NOON)).status_code == 200
    assert enters(known, owner, totp_code(at=NOON)).status_code == 302


def test_the_factor_of_somebody_else_is_no_proof(owner, app):
    other = make_user(email="other@contoso.example")
    client = sign_in(Client(), other)
    TOTP.activate(other, TOTP_SECRET)
    assert client.get(reverse("account_email")).status_code == 302
