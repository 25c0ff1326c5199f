"""Failed sign-ins are on record, within bounds; rows of sign-ins say how."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP
from portal.accounts.flows.failed_sign_ins import record_failed_sign_in
from portal.accounts.models import User
from portal.activity.models import LogEntry
from tests.support.accounts import PASSWORD, TOTP_SECRET, sign_in, stale
from tests.support.identities import PROVE, at_provider
from tests.support.second_factor import make_recovery_codes

pytestmark = pytest.mark.django_db
LOGIN = reverse("account_login")
HOUR = timedelta(hours=1)
FRESH = "a fresh and long password"


def attempt(email, password, number=1):
    address = f"192.0.2.{number}"
    return Client().post(LOGIN, {"login": email, "password": password}, REMOTE_ADDR=address)


def test_a_wrong_password_of_a_known_person_is_a_row_of_the_tenant(owner, contoso):
    attempt(owner.email, "a wrong password")
    row = LogEntry.objects.get(tenant_id=contoso.pk)
    assert (row.action, row.actor_name, row.address, row.details) == (
        "person.sign_in_failed",
        "Somebody at sign-in",
        "192.0.2.1",
        {"account": owner.email, "way": "password"},
    )


def test_rows_are_bounded_for_each_hour(owner, contoso, caplog):
    for number in range(12):
        attempt(owner.email, "a wrong password", number)
    assert LogEntry.objects.filter(tenant_id=contoso.pk).count() == 10
    assert [record.name for record in caplog.records].count("portal.sign_in") == 2


def test_the_hour_ends_at_its_very_moment(owner, contoso):
    start = timezone.now()
    for passed in [timedelta()] * 10 + [HOUR - timedelta(microseconds=1), HOUR]:
        with time_machine.travel(start + passed, tick=False):
            record_failed_sign_in(user=owner, email=owner.email, way="password", address="")
    rows = LogEntry.objects.filter(tenant_id=contoso.pk)
    assert [row.at - start for row in rows.order_by("seq")] == [timedelta()] * 10 + [HOUR]


def test_an_unknown_account_stands_in_the_process_log_in_one_line(caplog):
    attempt("nobody@nowhere.example", "a wrong password")
    lines = [record.getMessage() for record in caplog.records if record.name == "portal.sign_in"]
    assert lines == ["Sign-in failed: account=unknown way='password' from='192.0.2.1'"]
    assert not LogEntry.objects.exists()


def test_a_wrong_code_is_a_row_and_a_sign_in_says_how(owner, contoso):
    attempt(owner.email, PASSWORD)
    TOTP.activate(owner, TOTP_SECRET)
    client = Client()
    client.post(LOGIN, {"login": owner.email, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": "000000"})
    rows = LogEntry.objects.filter(tenant_id=contoso.pk).order_by("seq")
    assert [(row.action, row.details) for row in rows] == [
        ("person.signed_in", {"how": "password"}),
        ("person.sign_in_failed", {"account": owner.email, "way": "code at the second step"}),
    ]


def ways(tenant):
    rows = LogEntry.objects.of_action("person.sign_in_failed").filter(tenant_id=tenant.pk)
    return [row.details["way"] for row in rows.order_by("seq")]


def test_attempts_that_the_limit_refused_are_rows_too(owner, contoso):
    for _ in range(6):
        attempt(owner.email, "a wrong password")
    assert ways(contoso) == ["password"] * 5 + ["password (too many attempts)"]
    TOTP.activate(owner, TOTP_SECRET)
    client = Client()
    client.post(LOGIN, {"login": owner.email, "password": PASSWORD}, REMOTE_ADDR="192.0.2.9")
    for _ in range(7):
        client.post(reverse("mfa_authenticate"), {"code": "000000"}, REMOTE_ADDR="192.0.2.9")
    assert ways(contoso)[6:] == ["code at the second step"] * 4


def test_a_code_that_the_limit_refused_is_a_row(owner, contoso):
    TOTP.activate(owner, TOTP_SECRET)
    client = Client()
    client.post(LOGIN, {"login": owner.email, "password": PASSWORD})
    for _ in range(6):
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert ways(contoso)[5:] == ["code at the second step (too many attempts)"]


def test_the_right_password_of_a_deactivated_person_is_a_row(owner, contoso):
    User.objects.filter(pk=owner.pk).update(is_active=False)
    attempt(owner.email, PASSWORD)
    assert ways(contoso) == ["password (deactivated)"]


def test_a_deactivated_person_at_a_provider_is_a_row(owner, contoso, provider, connected):
    User.objects.filter(pk=owner.pk).update(is_active=False)
    at_provider(Client(), provider)
    assert ways(contoso) == ["identity provider (deactivated)"]


def test_a_sign_in_that_changed_between_its_steps_is_a_row(owner, contoso):
    TOTP.activate(owner, TOTP_SECRET)
    code = make_recovery_codes(owner)[0]
    client = Client()
    client.post(LOGIN, {"login": owner.email, "password": PASSWORD})
    User.objects.filter(pk=owner.pk).update(is_active=False)
    client.post(reverse("mfa_authenticate"), {"code": code})
    assert "_auth_user_id" not in client.session
    assert ways(contoso) == ["password and recovery code (changed between its steps)"]


def test_a_proof_at_the_provider_by_somebody_else_is_a_row(owner, contoso, provider, connected):
    client = sign_in(Client(), owner, at=stale())
    provider.person = {"sub": "mallory"}
    at_provider(client, provider, PROVE)
    assert ways(contoso) == ["identity provider at a proof"]


def test_a_wrong_current_password_is_a_row(owner, owner_client, contoso):
    values = {"oldpassword": "wrong", "password1": FRESH, "password2": FRESH}
    for _ in range(3):
        owner_client.post(reverse("account_change_password"), values)
    assert ways(contoso) == ["password at its change"] * 3
    row = LogEntry.objects.of_action("person.sign_in_failed").first()
    assert (row.details["account"], row.address) == (owner.email, "127.0.0.1")
