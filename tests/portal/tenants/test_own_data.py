"""What one gets when one exports one's own data."""

import json

import pytest
from django.db import transaction
from django.test import Client

from portal.accounts.allauth_internals import TOTP
from portal.accounts.proof import proof_address
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.tenants.models import Invitation
from tests.support.accounts import TOTP_SECRET, sign_in, stale
from tests.support.people import member_actor

pytestmark = pytest.mark.django_db
EXPORT = "/profile/export/"


def test_the_export_holds_ones_own_data_and_no_secret(owner, owner_client, contoso, viewer):
    for email in (owner.email, "new@x.example"):
        Invitation.objects.create(
            tenant=contoso, email=email, role="viewer", invited_by=owner, token_sha256=email
        )
    for user in (owner, viewer):
        with transaction.atomic():
            record(actor=member_actor(user), action=Action.MEMBER_INVITED, tenant_id=contoso.pk)
    owner_client.get("/profile/", headers={"User-Agent": "Firefox/1"})
    answer = owner_client.post(EXPORT)
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert answer["Cache-Control"] == "no-store"
    data = json.loads(answer.content)
    assert data["account"]["id"] == str(owner.pk)
    assert data["account"]["email"] == owner.email
    assert data["email_addresses"] == [{"email": owner.email, "verified": True, "primary": True}]
    assert [row["user_agent"] for row in data["sessions"]] == ["Firefox/1"]
    assert [(row["tenant"], row["role"]) for row in data["memberships"]] == [("Contoso", "owner")]
    assert [row["email"] for row in data["invitations_sent"]] == [owner.email, "new@x.example"]
    assert [row["invited_by"] for row in data["invitations_received"]] == ["Owner"]
    assert [(row["tenant"], row["action"]) for row in data["log"]] == [
        ("Contoso", "member.invited")
    ]
    owner.refresh_from_db()
    assert owner.password not in answer.content.decode()


def test_second_factors_are_named_without_their_secrets(owner):
    TOTP.activate(owner, TOTP_SECRET)
    client = sign_in(Client(), owner)
    answer = client.post(EXPORT)
    [factor] = json.loads(answer.content)["factors"]
    assert sorted(factor) == ["created_at", "last_used_at", "name", "type"]
    assert TOTP_SECRET not in answer.content.decode()


def test_the_export_needs_a_recent_proof(owner):
    client = sign_in(Client(), owner, at=stale())
    assert client.post(EXPORT)["Location"] == proof_address(EXPORT)
    assert client.get(EXPORT).status_code == 200
