"""The operators' admin: tenants, users and members."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses.models import LicenseKey, SigningKey
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.mail.models import Outbox
from portal.tenants.models import Invitation, Member, Role, Tenant
from portal.webhooks.models import Delivery, Endpoint, Event
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import ServiceToken
from tests.support.accounts import make_user, sign_in
from tests.support.admin_pages import REASON, address, errors, fill, form_of, only_entry, save
from tests.support.factories import (
    make_license,
    make_subscription,
)

# Tenants


def test_a_new_tenant_is_recorded_and_its_first_owner_invited(
    operator_client: Client, operator: User
) -> None:
    response = save(
        operator_client,
        address(Tenant, "add"),
        name="Northwind",
        country="NLD",
        owner_email="Jane@northwind.example",
    )
    assert response.status_code == 302
    tenant = Tenant.objects.get()
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (tenant.pk, Action.TENANT_OPENED)
    assert (entry.actor_kind, entry.actor_id) == ("operator", operator.pk)
    assert (entry.actor_email, entry.address) == (operator.email, "127.0.0.1")
    assert (entry.reason, entry.details) == (
        REASON,
        {
            "before": {},
            "after": {
                "name": "Northwind",
                "country": "NLD",
                "requires_two_factor": False,
                "invited_owner": "jane@northwind.example",
            },
        },
    )
    invitation = Invitation.objects.open().get()
    assert (invitation.email, invitation.role) == ("jane@northwind.example", Role.OWNER)
    assert [mail.to for mail in Outbox.objects.all()] == ["jane@northwind.example"]


def test_a_tenant_without_an_owner_to_invite_is_not_opened(operator_client: Client) -> None:
    url = address(Tenant, "add")
    response = save(operator_client, url, name="Northwind", country="NLD")
    assert set(errors(response)) == {"owner_email"}
    assert not Tenant.objects.exists()


def test_what_the_flow_refuses_is_told_at_the_field_and_undone(operator_client: Client) -> None:
    url = address(Tenant, "add")
    for _ in range(2):
        response = save(
            operator_client,
            url,
            name="See www.evil.example",
            country="NLD",
            owner_email="j@x.example",
        )
        assert set(errors(response)) == {"name"}
    assert not Tenant.objects.exists()


@pytest.mark.parametrize("page", ["add", "change"])
def test_whoever_changes_something_says_why(
    page: str, operator_client: Client, contoso: Tenant
) -> None:
    url = address(Tenant, page, *([contoso.pk] if page == "change" else []))
    sent = {"name": "New name", "country": "NLD", "owner_email": "jane@northwind.example"}
    for reason in ["", " "]:
        response = save(operator_client, url, **sent, reason=reason)
        assert errors(response) == {"reason": ["Write why you do this."]}
    assert not LogEntry.objects.exists()


def test_a_changed_tenant_is_recorded_with_what_was_before(
    operator_client: Client, contoso: Tenant
) -> None:
    url = address(Tenant, "change", contoso.pk)
    assert save(operator_client, url, requires_two_factor="on", country="DEU").status_code == 302
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.TENANT_CHANGED)
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

    monkeypatch.setattr("portal.tenants.flows.tenants.record", broken)
    operator_client.raise_request_exception = False
    response = save(operator_client, address(Tenant, "change", contoso.pk), name="Unrecorded")
    assert response.status_code == 500
    contoso.refresh_from_db()
    assert contoso.name == "Contoso"


# Users


def test_of_a_user_only_the_name_and_whether_active_are_changed(
    operator_client: Client, owner: User
) -> None:
    url = address(User, "change", owner.pk)
    assert set(form_of(operator_client, url)) == {"name", "is_active", "reason"}
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
    assert set(form_of(operator_client, address(User, "change", operator.pk))) == {"name", "reason"}


def test_only_the_operator_who_may_do_everything_changes_operators(
    operator: User, owner: User
) -> None:
    helper = make_user(email="helper@vendor.example", is_staff=True, two_factor=True)
    helper.user_permissions.set(Permission.objects.filter(content_type__app_label="portal"))
    client = sign_in(Client(), helper)
    assert client.post(address(User, "change", operator.pk), {"name": "X"}).status_code == 403
    assert save(client, address(User, "change", owner.pk), name="Y").status_code == 302


# Members


def test_members_are_the_owners_affair(operator_client: Client, owner: User) -> None:
    member = owner.memberships.get()
    url = address(Member, "change", member.pk)
    assert operator_client.get(url).status_code == 200
    assert operator_client.post(url, {"role": "viewer"}).status_code == 403
    assert operator_client.get(address(Member, "add")).status_code == 403
    assert operator_client.post(address(Member, "delete", member.pk)).status_code == 403
    member.refresh_from_db()
    assert member.role == Role.OWNER


# The log


def test_a_row_of_the_log_is_read_in_words(operator_client: Client, contoso: Tenant) -> None:
    save(operator_client, address(Tenant, "change", contoso.pk), name="Contoso GmbH")
    response = operator_client.get(address(LogEntry, "change", only_entry().pk))
    shown = {name: str(html) for name, _, html in response.context["facts"]}
    assert str(response.context["original"]) == "Tenant changed by Operator"
    assert shown["in_words"] == "Name: Contoso → Contoso GmbH"
    assert "slot" not in shown
    assert "subscription_name" not in shown


@pytest.mark.parametrize(
    ("to", "has_tenant", "leads_to"),
    [
        ("x@contoso.example", True, "portal_tenant_customer"),
        ("OWNER@contoso.example", False, "portal_user_change"),
        ("nobody@contoso.example", False, ""),
    ],
)
def test_mail_that_was_given_up_leads_to_where_its_matter_is_done_again(
    to: str,
    has_tenant: bool,
    leads_to: str,
    operator_client: Client,
    contoso: Tenant,
    owner: User,
) -> None:
    mail = Outbox.objects.create(
        tenant_id=contoso.pk if has_tenant else None, to=to, text="", attempts=1
    )
    fails = operator_client.get(address(Outbox, "change", mail.pk)).content.decode()
    assert "It is tried again by itself" in fails
    Outbox.objects.update(given_up_at=mail.created_at)
    html = operator_client.get(address(Outbox, "change", mail.pk)).content.decode()
    assert "Its text is erased" in html
    advice = re.search(r"What to do</dt>\s*<dd>(.*?)</dd>", html, re.DOTALL)
    assert advice is not None
    about = contoso.pk if has_tenant else owner.pk
    wanted = [reverse(f"admin:{leads_to}", args=[about])] if leads_to else []
    assert re.findall(r'href="([^"]+)"', advice[1]) == wanted


def test_a_record_leads_to_its_customer(operator_client: Client) -> None:
    fill()
    for model in (Tenant, Subscription, LicenseKey, Member, Invitation, ServiceToken):
        row = model.objects.all()[0]
        tenant_id = row.pk if model is Tenant else row.tenant_id
        html = operator_client.get(address(model, "change", row.pk)).content.decode()
        customer = reverse("admin:portal_tenant_customer", args=[tenant_id])
        assert f'<a class="btn" data-variant="outline" href="{customer}">' in html, model


@pytest.mark.parametrize(
    ("state", "is_off", "is_theirs", "advice"),
    [
        ("delivered", True, True, None),
        ("waiting", False, False, None),
        (
            "waiting",
            True,
            False,
            "Switch the webhook on once its receiver answers again: what waits is sent first.",
        ),
        ("given_up", False, False, "Send it again once that is mended."),
        (
            "given_up",
            True,
            True,
            (
                "Switch the webhook on once its receiver answers again, then send the event "
                "again. Owners and managers of the tenant do so, on their page of webhooks."
            ),
        ),
    ],
)
def test_a_delivery_that_did_not_arrive_says_what_to_do(
    state: str,
    is_off: bool,
    is_theirs: bool,
    advice: str | None,
    operator_client: Client,
    contoso: Tenant,
) -> None:
    endpoint = Endpoint.objects.create(
        tenant=contoso if is_theirs else None,
        url="https://hooks.example/in",
        secret="",
        off_at=timezone.now() if is_off else None,
    )
    event = Event.objects.create(tenant_id=contoso.pk, type="key.reset", body="{}")
    delivery = Delivery.objects.create(endpoint=endpoint, event=event, state=state)
    page = operator_client.get(address(Delivery, "change", delivery.pk))
    told = {name: str(html) for name, _, html in page.context["facts"]}
    assert told.get("advice") == advice
