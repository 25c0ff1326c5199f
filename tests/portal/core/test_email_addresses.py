"""Email addresses: one form at every door, and no address that no mail can go to."""

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.urls import reverse

from portal.accounts.flows.accounts import account_exists, new_user
from portal.accounts.models import User
from portal.core import email_addresses
from portal.core.email_addresses import NO_DOMAIN, NOT_ASCII, TOO_LONG
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.operators.flows.recovery import replace_owner
from portal.operators.tenant_rows import TenantRow
from portal.tenants.flows.invitations import invite_member
from portal.tenants.flows.sign_up import sign_up_owner
from portal.tenants.models import Role

UNICODE, A_LABEL = "jane@Bücher.example", "jane@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (UNICODE, A_LABEL),
        (" Jane@BU\u0308CHER\u3002EXAMPLE ", "Jane@xn--bcher-kva.example"),
        ("jane@faß.example", "jane@xn--fa-hia.example"),
        ("Jane.O'Neil+x@Contoso.EXAMPLE", "Jane.O'Neil+x@contoso.example"),
        (A_LABEL, A_LABEL),
        ("j" * 64 + "@" + "book." * 37 + "org", "j" * 64 + "@" + "book." * 37 + "org"),
    ],
)
def test_the_domain_is_stored_in_a_labels(written, stored):
    assert email_addresses.normalised(written) == stored


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("zoë@contoso.example", NOT_ASCII),
        ("\u212aate@contoso.example", NOT_ASCII),  # the sign of the kelvin, which looks like a K
        ("jane@bü\u202echer.example", NO_DOMAIN),
        ("jane", "Enter a valid email address."),
        ("jane@-ü.example", NO_DOMAIN),
        (f"{'j' * 65}@contoso.example", TOO_LONG),
        (f"{'j' * 64}@{'bücher.' * 14}example", TOO_LONG),  # 169 characters, 267 in A-labels
        (f"jane@{'books.' * 45}example", TOO_LONG),
        (f"jane@{'ü' * 60_000}.example", TOO_LONG),
        ("j" * 60_000, TOO_LONG),
        ("", "Enter a valid email address."),
    ],
)
def test_others_are_refused_with_a_sentence(written, sentence):
    with pytest.raises(ValidationError) as error:
        email_addresses.normalised(written)
    assert error.value.messages == [sentence]


def test_the_flows_store_it(owner, contoso, operator):
    actor = owner.as_actor()
    invited = invite_member(tenant=contoso, email=UNICODE, role=Role.VIEWER, actor=actor)
    change = replace_owner(
        tenant=contoso, email=UNICODE, actor=operator.as_actor(), reason="Has left"
    )
    made = User.objects.create_superuser(UNICODE, "pass phrase", name="Jane")
    new = new_user(email=UNICODE, name="Jane", password=None)
    assert [row.email for row in (invited, change, made, new)] == [A_LABEL] * 4
    assert A_LABEL in Outbox.objects.values_list("to", flat=True)


def test_the_flows_refuse_what_cannot_be_sent(owner, contoso, operator):
    def sign_up(email):
        account = {"name": "Zoe", "password": None, "identity": None}
        sign_up_owner(email=email, tenant_name="Northwind", country="NLD", **account)

    flows = [
        sign_up,
        lambda email: invite_member(
            tenant=contoso, email=email, role=Role.VIEWER, actor=owner.as_actor()
        ),
        lambda email: replace_owner(
            tenant=contoso, email=email, actor=operator.as_actor(), reason="-"
        ),
    ]
    for flow in flows:
        with pytest.raises(Refused) as refusal:
            flow("zoë@contoso.example")
        assert (refusal.value.sentence, refusal.value.field) == (NOT_ASCII, "email")


def test_the_forms_say_it(client, owner_client):
    for used, name in ((client, "account_signup"), (owner_client, "tenant:invite")):
        response = used.post(reverse(name), {"email": "zoë@contoso.example", "role": "viewer"})
        assert response.status_code == 422
        assert response.context["form"].errors["email"] == [NOT_ASCII]
    row = TenantRow({"name": "A", "country": "USA", "owner_email": UNICODE})
    assert row.is_valid()
    assert row.cleaned_data["owner_email"] == A_LABEL


@pytest.mark.parametrize("stored", [A_LABEL, "jane@bücher.example"])
def test_either_spelling_is_the_same_person(stored, owner, contoso):
    user = User.objects.create(email=stored, name="Jane")
    EmailAddress.objects.create(user=user, email=stored, verified=True, primary=True)
    assert [account_exists(email) for email in (UNICODE, A_LABEL)] == [True, True]
    contoso.memberships.create(user=user, role=Role.VIEWER)
    with pytest.raises(Refused, match="is a member already"):
        invite_member(tenant=contoso, email=UNICODE, role=Role.VIEWER, actor=owner.as_actor())


@pytest.mark.parametrize("stored", [A_LABEL, "jane@bücher.example"])
@pytest.mark.parametrize("typed", [UNICODE, A_LABEL])
def test_one_signs_in_by_either_spelling(stored, typed, client, db):
    user = User(email=stored, name="Jane")
    user.set_password("correct horse battery")
    user.save()
    EmailAddress.objects.create(user=user, email=stored, verified=True, primary=True)
    values = {"login": typed, "password": "correct horse battery"}
    assert client.post(reverse("account_login"), values).status_code == 302
    assert client.session["_auth_user_id"] == str(user.pk)
    client.logout()
    client.post(reverse("account_reset_password"), {"email": typed})
    assert "Set a new password" in Outbox.objects.latest("pk").subject
