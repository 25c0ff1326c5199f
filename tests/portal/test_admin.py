"""The operators' admin: what it shows, what it lets change, and what it records."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.models import LogEntry as DjangoLogEntry
from django.contrib.auth.models import Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from licenses.models import CheckCount, License, LicenseKey, SigningKey, StatusList
from portal.activity import Action
from portal.models import VENDOR, LogEntry, Member, Role, Tenant, User
from subscriptions.flows.activate import activate
from subscriptions.models import Plan, State, Subscription
from tests.factories import (
    CUSTOM_CLAIMS,
    make_custom_plan,
    make_license,
    make_subscription,
    make_tenant,
)
from tests.support.accounts import make_member, make_user, sign_in
from tests.support.browser import axe
from tests.support.races import race_all

EDITED: list[Any] = [Tenant, User, Member, Plan, Subscription]
LOOKED_AT: list[Any] = [License, LicenseKey, SigningKey, LogEntry, CheckCount, StatusList]


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def form_of(client: Client, url: str) -> dict[str, Any]:
    """Return what a browser would send back from the page's form, unchanged."""
    response = client.get(url)
    assert response.status_code == 200
    sent: dict[str, Any] = {}
    for field in response.context["adminform"].form:
        value = field.value()
        if field.name.endswith("_at"):
            moment = value if isinstance(value, datetime) else None
            parts = {"0": f"{moment:%Y-%m-%d}", "1": f"{moment:%H:%M:%S}"} if moment else {}
            # Where the default is the present time the page also has, hidden, what it began with.
            for prefix in ["", "initial-"] if field.field.show_hidden_initial else [""]:
                sent |= {f"{prefix}{field.name}_{part}": parts.get(part, "") for part in "01"}
        elif isinstance(value, bool):
            sent |= {field.name: "on"} if value else {}
        else:
            sent[field.name] = "" if value is None else str(value)
    return sent


def save(client: Client, url: str, **changes: Any) -> Any:
    """Change fields of the page's form as a person would, and send it."""
    sent = {**form_of(client, url), **changes}
    return client.post(url, {name: value for name, value in sent.items() if value is not None})


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def only_entry() -> LogEntry:
    entry = LogEntry.objects.get()
    assert not DjangoLogEntry.objects.exists()
    return entry


def fill() -> None:
    """Make a row of everything that the admin lists."""
    tenant = make_tenant()
    user = make_user(email=f"user{User.objects.count()}@contoso.example")
    Member.objects.create(tenant=tenant, user=user, role=Role.VIEWER)
    license = make_license(subscription=make_subscription(tenant=tenant))
    now = timezone.now()
    for key in license.keys.all():
        CheckCount.objects.create(
            tenant=tenant, license_key=key, hour=now, result="valid", count=1, last_at=now
        )


# Who may come in


def test_anonymous_people_are_led_to_the_portals_sign_in(client: Client, db: None) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    assert response.status_code == 200


def test_an_owner_of_a_tenant_is_refused(owner_client: Client) -> None:
    assert owner_client.get("/admin/", follow=True).status_code == 403


def test_only_rows_of_the_portal_are_registered() -> None:
    assert set(admin.site._registry) == {*EDITED, *LOOKED_AT}


def test_ones_own_password_is_changed_in_the_profile(operator_client: Client) -> None:
    response = operator_client.get("/admin/password_change/")
    assert response.headers["Location"] == reverse("account_change_password")


# What may be added, changed, removed


@pytest.mark.parametrize("model", [*EDITED, *LOOKED_AT])
def test_permissions_of_the_operator_who_may_do_everything(
    model: Any, operator_client: Client, operator: User, rf: Any
) -> None:
    request = rf.get("/")
    request.user = operator
    page: admin.ModelAdmin = admin.site.get_model_admin(model)
    assert page.get_model_perms(request) == {
        "add": model in EDITED,
        "change": model in EDITED,
        "delete": model is Member,
        "view": True,
    }
    assert page.get_actions(request) == {}


@pytest.mark.parametrize("model", [*EDITED, *LOOKED_AT])
def test_pages_refuse_what_is_not_to_be_done(
    model: Any, operator_client: Client, operator: User, signing_key: SigningKey
) -> None:
    fill()
    if model is LogEntry:
        make_row_in_log(operator_client)
    row = model.objects.exclude(pk=operator.pk).first()
    changes = 200 if model in EDITED else 403
    assert operator_client.get(address(model, "add")).status_code == changes
    assert operator_client.get(address(model, "change", row.pk)).status_code == 200
    if model not in EDITED:
        assert operator_client.post(address(model, "change", row.pk), {}).status_code == 403
    if model is not Member:
        url = address(model, "delete", row.pk)
        assert operator_client.post(url, {"post": "yes"}).status_code == 403
        assert model.objects.filter(pk=row.pk).exists()


def make_row_in_log(client: Client) -> None:
    save(client, address(Tenant, "add"), name="Logged", country="USA")


# No secrets


def test_no_page_tells_a_secret(
    operator_client: Client, operator: User, signing_key: SigningKey
) -> None:
    fill()
    key = LicenseKey.objects.first()
    secret = {
        key.token,
        key.token.rpartition(".")[2],
        operator.password,
        bytes(signing_key.private_key).decode(),
        bytes(signing_key.private_key).hex(),
        bytes(key.status_list.decoy_seed).hex(),
    }
    for model in [*EDITED, *LOOKED_AT]:
        row = model.objects.first()
        pages = [address(model, "changelist")]
        pages += [address(model, "change", row.pk)] if row else []
        for url in pages:
            text = operator_client.get(url).content.decode()
            assert [value for value in secret if value in text] == []


@pytest.mark.parametrize(
    ("model", "column"),
    [(User, "password"), (LicenseKey, "token"), (SigningKey, "private_key")],
)
def test_no_filter_in_an_address_probes_a_secret(
    model: Any, column: str, operator_client: Client, signing_key: SigningKey
) -> None:
    url = address(model, "changelist")
    response = operator_client.get(url, {f"{column}__startswith": "a"})
    assert response.status_code == 400
    assert operator_client.get(url, {"id__gt": "0"}).status_code in {200, 302}


def test_secrets_are_not_even_read(operator_client: Client, signing_key: SigningKey) -> None:
    fill()
    hidden: list[tuple[Any, str]] = [(LicenseKey, "token"), (SigningKey, "private_key")]
    for model, column in hidden:
        row = model.objects.first()
        for url in [address(model, "changelist"), address(model, "change", row.pk)]:
            with CaptureQueriesContext(connection) as queries:
                assert operator_client.get(url).status_code == 200
            table = model._meta.db_table
            assert [q["sql"] for q in queries if f'"{table}"."{column}"' in q["sql"]] == []


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
    found = re.search(r"http://\S+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
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


# Plans

CUSTOM = {
    "code": "custom-monthly",
    "name": "Custom",
    "edition": "commercial",
    "urn": "urn:oneimlx:lic:plan:custom",
    "billing_period": "monthly",
    "is_offered": "on",
}


def test_a_custom_plan_takes_its_claims(operator_client: Client) -> None:
    claims = json.dumps(CUSTOM_CLAIMS)
    response = save(operator_client, address(Plan, "add"), **CUSTOM, custom_claims=claims)
    assert response.status_code == 302
    plan = Plan.objects.get(code="custom-monthly")
    assert plan.custom_claims == CUSTOM_CLAIMS
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (VENDOR, Action.RECORD_ADDED)
    assert entry.details["after"]["custom_claims"] == CUSTOM_CLAIMS


@pytest.mark.parametrize(
    ("claims", "mistake"),
    [
        ("", "The claim terminal_limit is missing."),
        ("{}", "The claim terminal_limit is missing."),
        ("[]", "Custom claims are a JSON object of names and values."),
        ("{", "Enter a valid JSON."),
        (
            json.dumps({**CUSTOM_CLAIMS, "option_limit": 1}),
            "The claims argument_limit and option_limit must be the same number.",
        ),
    ],
)
def test_wrong_claims_of_a_custom_plan_are_refused_next_to_the_field(
    claims: str, mistake: str, operator_client: Client
) -> None:
    response = save(operator_client, address(Plan, "add"), **CUSTOM, custom_claims=claims)
    assert set(errors(response)) == {"custom_claims"}
    assert errors(response)["custom_claims"][0] == mistake
    assert not Plan.objects.filter(code="custom-monthly").exists()


def test_other_plans_have_no_claims(operator_client: Client) -> None:
    other = {**CUSTOM, "code": "other", "urn": "urn:oneimlx:lic:plan:other"}
    url = address(Plan, "add")
    response = save(operator_client, url, **other, custom_claims='{"terminal_limit": 5}')
    assert errors(response) == {"custom_claims": ["Only custom plans have custom claims."]}
    assert save(operator_client, url, **other, custom_claims="").status_code == 302
    assert Plan.objects.get(code="other").custom_claims == {}


def test_a_custom_plan_that_gets_another_urn_must_lose_its_claims(operator_client: Client) -> None:
    plan = make_custom_plan()
    response = save(
        operator_client,
        address(Plan, "change", plan.pk),
        urn="urn:oneimlx:lic:plan:other",
        custom_claims=json.dumps(CUSTOM_CLAIMS),
    )
    assert errors(response) == {"custom_claims": ["Only custom plans have custom claims."]}


def test_the_code_of_a_plan_is_fixed(operator_client: Client) -> None:
    plan = Plan.objects.get(code="micro-monthly")
    save(operator_client, address(Plan, "change", plan.pk), code="other", name="Tiny")
    plan.refresh_from_db()
    assert (plan.code, plan.name) == ("micro-monthly", "Tiny")
    assert only_entry().details["before"] == {"name": "Micro monthly"}


def test_a_plan_tells_which_clients_start_on_it(operator_client: Client) -> None:
    def told(code: str) -> str:
        plan = Plan.objects.get(code=code)
        page = operator_client.get(address(Plan, "change", plan.pk))
        fields = [line for part in page.context["adminform"] for line in part]
        shown = [f.contents() for line in fields for f in line if f.is_readonly]
        return str(shown[-1])

    assert told("isv-monthly") == "2022-05, 2022-09, 2023-03"
    assert told("micro-monthly") == "2022-05, 2022-09, 2023-03, 2023-05"
    Plan.objects.filter(code="isv-monthly").update(urn="urn:oneimlx:lic:plan:new")
    assert told("isv-monthly") == "None that was released"


# Subscriptions


def test_a_new_subscription_is_pending_and_for_its_own_tenant(
    operator_client: Client, contoso: Tenant
) -> None:
    plan = Plan.objects.get(code="smb-yearly")
    response = save(
        operator_client,
        address(Subscription, "add"),
        tenant=contoso.pk,
        plan=plan.pk,
        name="Terminals",
        state="active",
        activated_at_0="2026-01-01",
        activated_at_1="00:00:00",
    )
    assert response.status_code == 302
    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.activated_at) == (State.PENDING, None)
    assert subscription.beneficiary_tenant_id == contoso.pk
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.RECORD_ADDED)
    assert (entry.subscription_id, entry.subscription_name) == (subscription.pk, "Terminals")
    assert entry.details["after"]["tenant"] == "Contoso"
    assert entry.details["after"]["plan"] == "SMB yearly"
    assert entry.details["after"]["beneficiary_tenant_id"] == str(contoso.pk)


def test_a_beneficiary_may_be_another_tenant(
    operator_client: Client, contoso: Tenant, fabrikam: Tenant
) -> None:
    url = address(Subscription, "add")
    sent = {"tenant": contoso.pk, "plan": Plan.objects.offered()[0].pk, "name": "Terminals"}
    response = save(operator_client, url, **sent, beneficiary_tenant_id="nonsense")
    assert errors(response) == {"beneficiary_tenant_id": ["Enter a valid UUID."]}
    save(operator_client, url, **sent, beneficiary_tenant_id=fabrikam.pk)
    assert Subscription.objects.get().beneficiary_tenant_id == fabrikam.pk


def test_flows_change_the_state_and_forms_do_not(
    operator_client: Client, contoso: Tenant, fabrikam: Tenant
) -> None:
    subscription = make_subscription(tenant=contoso, state=State.PENDING, name="Before")
    end = subscription.starts_at + timedelta(days=365)
    plan = Plan.objects.get(code="micro-monthly")
    response = save(
        operator_client,
        address(Subscription, "change", subscription.pk),
        name="After",
        plan=plan.pk,
        ends_at_0=f"{end:%Y-%m-%d}",
        ends_at_1=f"{end:%H:%M:%S}",
        tenant=fabrikam.pk,
        state="active",
        is_self_started="on",
    )
    assert response.status_code == 302
    subscription.refresh_from_db()
    assert (subscription.tenant, subscription.state) == (contoso, State.PENDING)
    assert (subscription.name, subscription.plan) == ("After", plan)
    assert subscription.is_self_started is False
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.SUBSCRIPTION_CHANGED)
    assert (entry.subscription_id, entry.subscription_name) == (subscription.pk, "After")
    assert entry.details["before"] == {
        "name": "Before",
        "plan": "SMB monthly",
        "ends_at": None,
    }
    assert entry.details["after"] == {
        "name": "After",
        "plan": "Micro monthly",
        "ends_at": end.replace(microsecond=0).astimezone(UTC).isoformat(),
    }


def test_an_end_before_the_start_is_refused(operator_client: Client) -> None:
    subscription = make_subscription()
    response = save(
        operator_client,
        address(Subscription, "change", subscription.pk),
        ends_at_0="2000-01-01",
        ends_at_1="00:00:00",
    )
    assert errors(response) == {"__all__": ["The end must lie after the start."]}


def test_plans_that_are_not_offered_stay_but_are_not_chosen_anew(operator_client: Client) -> None:
    plan = Plan.objects.get(code="demo-monthly")
    other = Plan.objects.get(code="demo-yearly")
    subscription = make_subscription(plan=plan)
    url = address(Subscription, "change", subscription.pk)
    assert save(operator_client, url, name="Stays").status_code == 302
    assert set(errors(save(operator_client, url, plan=other.pk))) == {"plan"}
    sent = {"tenant": subscription.tenant_id, "name": "New", "plan": plan.pk}
    response = save(operator_client, address(Subscription, "add"), **sent)
    assert set(errors(response)) == {"plan"}


def test_the_list_filters_by_the_state_that_counts(operator_client: Client) -> None:
    past = timezone.now() - timedelta(days=1)
    make_subscription(name="Over", ends_at=past)
    make_subscription(name="Running")
    url = address(Subscription, "changelist")
    rows = operator_client.get(url, {"effective_state": "ended"}).context["cl"].result_list
    assert [row.name for row in rows] == ["Over"]
    assert (
        '<td class="field-state_now">Ended</td>'
        in operator_client.get(url, {"effective_state": "ended"}).content.decode()
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_a_change_beside_an_activation_loses_neither(
    attempt: int, operator: User, transactional_db: None
) -> None:
    from portal.actors import SYSTEM

    subscription = make_subscription(state=State.PENDING)
    client = sign_in(Client(), operator)
    url = address(Subscription, "change", subscription.pk)
    sent = {**form_of(client, url), "name": "Renamed"}
    outcomes = race_all(
        [
            lambda: client.post(url, sent).status_code,
            lambda: activate(subscription=subscription, actor=SYSTEM).state,
        ]
    )
    assert outcomes == [302, State.ACTIVE]
    subscription.refresh_from_db()
    assert (subscription.name, subscription.state) == ("Renamed", State.ACTIVE)
    assert LogEntry.objects.for_tenant(subscription.tenant).count() == 2


def test_only_what_was_changed_is_written(operator_client: Client) -> None:
    """A flow's columns stay even where a database locks nothing."""
    subscription = make_subscription(state=State.PENDING)
    with CaptureQueriesContext(connection) as queries:
        save(operator_client, address(Subscription, "change", subscription.pk), name="Renamed")
    updates = [q["sql"] for q in queries if q["sql"].startswith('UPDATE "subscriptions_subs')]
    assert len(updates) == 1
    assert updates[0].partition("WHERE")[0].strip() == (
        'UPDATE "subscriptions_subscription" SET "name" = \'Renamed\''
    )


# Finding things


def found(client: Client, model: Any, text: Any) -> set[Any]:
    response = client.get(address(model, "changelist"), {"q": str(text)})
    assert response.status_code == 200
    return {row.pk for row in response.context["cl"].result_list}


def test_license_keys_are_found_by_what_customers_quote(
    operator_client: Client, signing_key: SigningKey
) -> None:
    make_license()
    subscription = make_subscription(name="Wanted", beneficiary_email="jane@contoso.example")
    license = make_license(subscription=subscription, holder_name="Wingtip")
    both = {key.pk for key in license.keys.all()}
    key = license.keys.first()
    assert found(operator_client, LicenseKey, key.jti) == {key.pk}
    assert found(operator_client, LicenseKey, key.jti.hex.upper()) == {key.pk}
    assert found(operator_client, LicenseKey, key.token_sha256) == {key.pk}
    for text in [
        "jane@contoso.example",
        "wingtip",
        "wanted",
        license.pk,
        license.authorized_application_id,
        subscription.pk,
        subscription.tenant_id,
    ]:
        assert found(operator_client, LicenseKey, text) == both
    assert found(operator_client, License, subscription.pk) == {license.pk}
    assert found(operator_client, Subscription, license.tenant_id) == {subscription.pk}
    assert found(operator_client, CheckCount, key.jti) == set()


def test_history_leads_to_the_portals_log(operator_client: Client, contoso: Tenant) -> None:
    subscription = make_subscription(tenant=contoso)
    for row, other in [(subscription, make_subscription()), (contoso, make_tenant())]:
        for each in (row, other):
            save(operator_client, address(type(row), "change", each.pk), name="New name")
    user = make_member(tenant=contoso, role=Role.VIEWER, email="jane@contoso.example")
    save(operator_client, address(User, "change", user.pk), name="Jane Doe")
    for row, names in [
        (subscription, ["New name"]),
        (contoso, ["New name", "New name"]),
        (user, ["Jane Doe"]),
    ]:
        response = operator_client.get(address(type(row), "history", row.pk), follow=True)
        assert response.status_code == 200
        entries = response.context["cl"].result_list
        assert [entry.details["name"] for entry in entries] == names


def test_a_user_without_view_of_a_row_has_no_history_of_it(owner: User) -> None:
    helper = make_user(email="helper@vendor.example", is_staff=True)
    client = sign_in(Client(), helper)
    assert client.get(address(User, "history", owner.pk)).status_code == 403


# Speed


@pytest.mark.parametrize("model", [*EDITED, *LOOKED_AT])
def test_lists_cost_the_same_at_1_and_at_25_rows(
    model: Any, operator_client: Client, signing_key: SigningKey
) -> None:
    def cost() -> int:
        operator_client.get(url, {"q": ""})  # what is cached once is not counted
        with CaptureQueriesContext(connection) as queries:
            response = operator_client.get(url)
        assert response.status_code == 200
        rows.append(len(response.context["cl"].result_list))
        return len(queries)

    rows: list[int] = []
    url = address(model, "changelist")
    fill()
    make_row_in_log(operator_client)
    before = cost()
    for _ in range(24):
        fill()
        make_row_in_log(operator_client)
    assert cost() == before
    if model not in {StatusList, SigningKey, Plan}:  # of which there are few
        assert rows[1] >= rows[0] + 24
    assert before <= 10


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_page_keeps_the_content_policy_and_is_accessible(
    colours: str, open_page: Callable[..., Page], operator: User
) -> None:
    """`open_page` fails on every error that the console shows; a breach of the policy is one."""
    fill()
    client = sign_in(Client(), operator)
    make_row_in_log(client)
    page = open_page(user=operator, colours=colours)
    paths = ["/admin/", "/admin/portal/"]
    for model in [*EDITED, *LOOKED_AT]:
        row = model.objects.first()
        paths += [address(model, "changelist"), address(model, "change", row.pk)]
        paths += [address(model, "add")] if model in EDITED else []
    paths.append(f"{address(Subscription, 'changelist')}?{urlencode({'q': 'nothing'})}")
    paths.append(address(Member, "delete", Member.objects.first().pk))
    for path in paths:
        page.goto(path)
        policy = page.evaluate(
            "fetch(location.href).then(r => r.headers.get('Content-Security-Policy'))"
        )
        assert "default-src 'none'" in policy
        # Django's own: its search is labelled by a picture of a lens, whose text is "Search", and
        # the label of its Select2 belongs to the select behind it.
        axe(page, without=("label-title-only", "aria-input-field-name"))


@pytest.mark.browser
def test_widgets_work_under_the_content_policy(
    open_page: Callable[..., Page], operator: User, contoso: Tenant
) -> None:
    plan = Plan.objects.get(code="smb-yearly")
    page = open_page(user=operator)
    page.goto(address(Subscription, "add"))
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill("conto")
    page.locator(".select2-results__option", has_text="Contoso").click()
    page.select_option("#id_plan", str(plan.pk))
    page.fill("#id_name", "Terminals")
    page.locator(".field-ends_at .date-icon").click()
    page.locator("#calendarbox1 .calendarnav-next").click()
    page.locator("#calendarin1 td a", has_text=re.compile("^15$")).click()
    page.locator(".field-ends_at .clock-icon").click()
    page.locator("#clockbox1").get_by_text("Noon").click()
    page.locator("[name=_save]").click()
    page.wait_for_url(f"**{address(Subscription, 'changelist')}")
    subscription = Subscription.objects.get()
    assert subscription.tenant == contoso
    assert subscription.ends_at is not None
    assert (subscription.ends_at.day, subscription.ends_at.hour) == (15, 12)
    page.locator("#toggle-nav-sidebar").click()
    page.locator("[name=q]").fill("terminals")
    page.locator("[name=q]").press("Enter")
    page.get_by_role("link", name="Terminals", exact=True).click()
    page.get_by_role("link", name="History").click()
    assert page.locator("#result_list tbody tr").count() == 1


@pytest.mark.browser
def test_a_related_row_is_added_in_a_popup(
    open_page: Callable[..., Page], operator: User, contoso: Tenant
) -> None:
    page = open_page(user=operator)
    page.goto(address(Member, "add"))
    with page.expect_popup() as opened:
        page.locator("#add_id_user").click()
    popup = opened.value
    popup.fill("#id_email", "jane@contoso.example")
    popup.fill("#id_name", "Jane")
    with popup.expect_event("close"):
        popup.locator("[name=_save]").click()
    assert page.locator("#select2-id_user-container").inner_text().strip("×\n") == "Jane"


@pytest.mark.browser
def test_the_colours_that_were_chosen_in_the_portal_hold(
    open_page: Callable[..., Page], operator: User, live_portal: Any
) -> None:
    page = open_page(user=operator, colours="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto("/admin/")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.context.add_cookies([{"name": "theme", "value": "dark", "url": live_portal.url}])
    page.goto("/admin/")
    assert page.evaluate(ground) == "rgb(10, 10, 10)"


@pytest.mark.browser
def test_signing_out_leads_to_the_portals_sign_in(
    open_page: Callable[..., Page], operator: User
) -> None:
    page = open_page(user=operator)
    page.goto("/admin/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/**")
