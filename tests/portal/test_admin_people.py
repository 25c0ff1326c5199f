"""The operators' admin: tenants, users and members."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from licenses.models import SigningKey
from portal.activity import Action
from portal.models import VENDOR, LogEntry, Member, Outbox, Tenant, User
from tests.factories import (
    make_license,
    make_subscription,
)
from tests.portal.acting import address, errors, form_of, only_entry, save
from tests.support.accounts import make_user, sign_in

# Tenants


def test_an_added_tenant_is_recorded_where_its_members_see_it(
    operator_client: Client, operator: User
) -> None:
    response = save(operator_client, address(Tenant, "add"), name="Northwind", country="NLD")
    assert response.status_code == 302
    tenant = Tenant.objects.get()
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (tenant.pk, Action.RECORD_ADDED)
    assert (entry.actor_kind, entry.actor_id) == ("operator", operator.pk)
    assert (entry.actor_email, entry.address) == (operator.email, "127.0.0.1")
    assert entry.details == {
        "record": "tenant",
        "id": str(tenant.pk),
        "name": "Northwind",
        "before": {},
        "after": {"name": "Northwind", "country": "NLD", "requires_two_factor": False},
    }


def test_a_changed_tenant_is_recorded_with_what_was_before(
    operator_client: Client, contoso: Tenant
) -> None:
    url = address(Tenant, "change", contoso.pk)
    assert save(operator_client, url, requires_two_factor="on", country="DEU").status_code == 302
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.RECORD_CHANGED)
    assert entry.details["before"] == {"country": "USA", "requires_two_factor": False}
    assert entry.details["after"] == {"country": "DEU", "requires_two_factor": True}


def test_saving_without_a_change_leaves_no_row(operator_client: Client, contoso: Tenant) -> None:
    subscription = make_subscription(tenant=contoso)
    for row in [contoso, subscription, subscription.plan]:
        url = address(type(row), "change", row.pk)
        assert save(operator_client, url).status_code == 302
    assert not LogEntry.objects.exists()


def test_a_refused_form_changes_and_records_nothing(
    operator_client: Client, contoso: Tenant
) -> None:
    response = save(operator_client, address(Tenant, "change", contoso.pk), name="", country="USX")
    assert set(errors(response)) == {"name", "country"}
    assert not LogEntry.objects.exists()
    contoso.refresh_from_db()
    assert (contoso.name, contoso.country) == ("Contoso", "USA")


def test_the_country_is_fixed_once_there_was_a_license(
    operator_client: Client, signing_key: SigningKey
) -> None:
    tenant = make_license().tenant
    url = address(Tenant, "change", tenant.pk)
    assert save(operator_client, url, name="Renamed", country="DEU").status_code == 302
    tenant.refresh_from_db()
    assert (tenant.name, tenant.country) == ("Renamed", "USA")


def test_no_change_without_its_row_in_the_log(
    operator_client: Client, contoso: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log fails here as a full disk would make it fail."""

    def broken(**_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("portal.activity.record", broken)
    operator_client.raise_request_exception = False
    response = save(operator_client, address(Tenant, "change", contoso.pk), name="Unrecorded")
    assert response.status_code == 500
    contoso.refresh_from_db()
    assert contoso.name == "Contoso"


# Users


def test_a_new_user_has_no_password_and_chooses_one_by_mail(
    operator_client: Client, client: Client
) -> None:
    url = address(User, "add")
    assert set(form_of(operator_client, url)) == {"email", "name"}
    response = save(
        operator_client,
        url,
        email="Jane@Contoso.example",
        name="Jane",
        password="sent along",
        is_superuser="on",
        is_staff="on",
    )
    assert response.status_code == 302
    user = User.objects.get(email="jane@contoso.example")
    assert not user.has_usable_password()
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (VENDOR, Action.RECORD_ADDED)
    assert entry.details["after"] == {"email": "jane@contoso.example", "name": "Jane"}

    client.post(reverse("account_reset_password"), {"email": user.email})
    found = re.search(
        r"http://\S+(/accounts/password/reset/key/\S+)", Outbox.objects.latest("pk").text
    )
    assert found
    page = client.get(found[1], follow=True)
    chosen = "a horse of another colour"
    client.post(page.redirect_chain[-1][0], {"password1": chosen, "password2": chosen})
    user.refresh_from_db()
    assert user.check_password(chosen)


def test_nobody_gets_an_address_that_somebody_signs_in_with(
    operator_client: Client, owner: User
) -> None:
    EmailAddress.objects.create(user=owner, email="second@contoso.example", verified=True)
    for email in ["OWNER@contoso.example", "second@contoso.example"]:
        response = save(operator_client, address(User, "add"), email=email, name="Twin")
        assert list(errors(response).values()) == [
            ["Somebody already signs in with this email address."]
        ]


def test_of_a_user_only_the_name_and_whether_active_are_changed(
    operator_client: Client, owner: User
) -> None:
    url = address(User, "change", owner.pk)
    assert set(form_of(operator_client, url)) == {"name", "is_active"}
    password = owner.password
    save(
        operator_client,
        url,
        name="Renamed",
        is_active=None,
        email="thief@fabrikam.example",
        is_superuser="on",
        is_staff="on",
        password="set in a form",
        groups="1",
    )
    owner.refresh_from_db()
    assert (owner.name, owner.is_active) == ("Renamed", False)
    assert (owner.email, owner.password) == ("owner@contoso.example", password)
    assert (owner.is_staff, owner.is_superuser) == (False, False)
    entry = only_entry()
    assert entry.details["before"] == {"name": "Owner", "is_active": True}
    assert entry.details["after"] == {"name": "Renamed", "is_active": False}


def test_a_deactivated_user_is_signed_out_at_the_next_request(
    operator_client: Client, owner: User, owner_client: Client
) -> None:
    assert owner_client.get(reverse("subscriptions:list")).status_code == 200
    save(operator_client, address(User, "change", owner.pk), is_active=None)
    response = owner_client.get(reverse("subscriptions:list"))
    assert response.headers["Location"].startswith("/accounts/login/")


def test_operators_can_not_lock_themselves_out(operator_client: Client, operator: User) -> None:
    assert set(form_of(operator_client, address(User, "change", operator.pk))) == {"name"}


def test_only_the_operator_who_may_do_everything_changes_operators(
    operator: User, owner: User
) -> None:
    helper = make_user(email="helper@vendor.example", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(content_type__app_label="portal"))
    client = sign_in(Client(), helper)
    assert client.post(address(User, "change", operator.pk), {"name": "X"}).status_code == 403
    assert save(client, address(User, "change", owner.pk), name="Y").status_code == 302


# Members


def test_members_are_added_changed_and_removed_with_a_row_each(
    operator_client: Client, contoso: Tenant
) -> None:
    user = make_user(email="jane@contoso.example", name="Jane")
    save(operator_client, address(Member, "add"), tenant=contoso.pk, user=user.pk, role="viewer")
    member = Member.objects.get()
    url = address(Member, "change", member.pk)
    assert set(form_of(operator_client, url)) == {"role"}
    save(operator_client, url, role="owner")
    response = operator_client.post(address(Member, "delete", member.pk), {"post": "yes"})
    assert response.status_code == 302
    assert not Member.objects.exists()
    told = LogEntry.objects.for_tenant(contoso).order_by("seq")
    everything = {"tenant": "Contoso", "user": "Jane"}
    assert [(row.action, row.details["before"], row.details["after"]) for row in told] == [
        (Action.RECORD_ADDED, {}, {**everything, "role": "viewer"}),
        (Action.RECORD_CHANGED, {"role": "viewer"}, {"role": "owner"}),
        (Action.RECORD_REMOVED, {**everything, "role": "owner"}, {}),
    ]
    assert LogEntry.objects.count() == 3


def test_asking_for_a_removal_removes_and_records_nothing(
    operator_client: Client, owner: User
) -> None:
    member = owner.memberships.get()
    assert operator_client.get(address(Member, "delete", member.pk)).status_code == 200
    assert owner.memberships.exists()
    assert not LogEntry.objects.exists()
