"""The operators' admin: plans, subscriptions, and how things are found."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from licenses.models import CheckCount, License, LicenseKey, SigningKey
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.models import VENDOR, LogEntry
from portal.tenants.models import Role, Tenant
from subscriptions.flows.activate import activate_subscription
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member, make_user, sign_in
from tests.support.admin_pages import (
    REASON,
    address,
    errors,
    form_of,
    only_entry,
    save,
)
from tests.support.factories import (
    CUSTOM_CLAIMS,
    TYPED_CLAIMS,
    make_custom_plan,
    make_license,
    make_subscription,
    make_tenant,
)
from tests.support.races import race_all

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


def test_claims_that_repeat_others_need_not_be_typed(operator_client: Client) -> None:
    claims = json.dumps(TYPED_CLAIMS)
    save(operator_client, address(Plan, "add"), **CUSTOM, custom_claims=claims)
    plan = Plan.objects.get(code="custom-monthly")
    assert plan.custom_claims == CUSTOM_CLAIMS
    assert only_entry().details["after"]["custom_claims"] == CUSTOM_CLAIMS
    save(operator_client, address(Plan, "change", plan.pk), custom_claims=claims)
    plan.refresh_from_db()
    assert (plan.custom_claims, LogEntry.objects.count()) == (CUSTOM_CLAIMS, 1)


def test_an_older_custom_plan_is_completed_when_it_is_saved(operator_client: Client) -> None:
    plan = make_custom_plan(custom_claims=TYPED_CLAIMS)
    save(operator_client, address(Plan, "change", plan.pk), name="Renamed")
    plan.refresh_from_db()
    assert (plan.name, plan.custom_claims) == ("Renamed", CUSTOM_CLAIMS)
    assert only_entry().details["after"] == {"name": "Renamed", "custom_claims": CUSTOM_CLAIMS}


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
        (
            json.dumps({**TYPED_CLAIMS, "terminal_limit": -1}),
            "The claim terminal_limit must be a whole number from 0 to 32767.",
        ),
        (
            json.dumps({**TYPED_CLAIMS, "option_alias": False}),
            "The claims argument_alias and option_alias must be the same value.",
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
    def clients_shown(code: str) -> str:
        plan = Plan.objects.get(code=code)
        page = operator_client.get(address(Plan, "change", plan.pk))
        fields = [line for part in page.context["adminform"] for line in part]
        shown = [f.contents() for line in fields for f in line if f.is_readonly]
        return str(shown[-1])

    assert clients_shown("isv-monthly") == "2022-05, 2022-09, 2023-03"
    assert clients_shown("micro-monthly") == "2022-05, 2022-09, 2023-03, 2023-05"
    Plan.objects.filter(code="isv-monthly").update(urn="urn:oneimlx:lic:plan:new")
    assert clients_shown("isv-monthly") == "None that was released"


# Subscriptions


def test_a_subscription_without_tenant_and_plan_is_refused_in_words(
    operator_client: Client,
) -> None:
    refused = errors(save(operator_client, address(Subscription, "add"), name="Terminals"))
    assert refused == {"tenant": ["Choose a tenant."], "plan": ["Choose a plan."]}


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
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.SUBSCRIPTION_ADDED)
    assert (entry.subscription_id, entry.subscription_name) == (subscription.pk, "Terminals")
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


def test_flows_change_state_plan_and_end_and_forms_do_not(
    operator_client: Client, contoso: Tenant, fabrikam: Tenant
) -> None:
    subscription = make_subscription(tenant=contoso, state=State.PENDING, name="Before")
    plan, end = subscription.plan, subscription.ends_at
    response = save(
        operator_client,
        address(Subscription, "change", subscription.pk),
        name="After",
        plan=Plan.objects.get(code="micro-monthly").pk,
        ends_at_0="2000-01-01",
        ends_at_1="00:00:00",
        tenant=fabrikam.pk,
        state="active",
        is_self_started="on",
    )
    assert response.status_code == 302
    subscription.refresh_from_db()
    assert (subscription.tenant, subscription.state) == (contoso, State.PENDING)
    assert (subscription.name, subscription.plan, subscription.ends_at) == ("After", plan, end)
    assert subscription.is_self_started is False
    entry = only_entry()
    assert (entry.tenant_id, entry.action) == (contoso.pk, Action.SUBSCRIPTION_CHANGED)
    assert (entry.subscription_id, entry.subscription_name) == (subscription.pk, "After")
    assert entry.details["before"] == {"name": "Before"}
    assert entry.details["after"] == {"name": "After"}


def test_an_end_before_the_start_is_refused(operator_client: Client, contoso: Tenant) -> None:
    response = save(
        operator_client,
        address(Subscription, "add"),
        tenant=contoso.pk,
        plan=Plan.objects.offered()[0].pk,
        name="Terminals",
        ends_at_0="2000-01-01",
        ends_at_1="00:00:00",
    )
    assert errors(response) == {"__all__": ["The end must lie after the start."]}


def test_plans_that_are_not_offered_stay_but_are_not_chosen_anew(operator_client: Client) -> None:
    plan = Plan.objects.get(code="demo-monthly")
    subscription = make_subscription(plan=plan)
    url = address(Subscription, "change", subscription.pk)
    assert save(operator_client, url, name="Stays").status_code == 302
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
        '<span class="badge" data-tone="muted">Ended</span>'
        in operator_client.get(url, {"effective_state": "ended"}).content.decode()
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_a_change_beside_an_activation_loses_neither(
    attempt: int, operator: User, transactional_db: None
) -> None:
    from portal.core.actors import SYSTEM

    subscription = make_subscription(state=State.PENDING)
    client = sign_in(Client(), operator)
    url = address(Subscription, "change", subscription.pk)
    sent = {**form_of(client, url), "name": "Renamed", "reason": REASON}
    outcomes = race_all(
        [
            lambda: client.post(url, sent).status_code,
            lambda: activate_subscription(subscription=subscription, actor=SYSTEM).state,
        ]
    )
    assert outcomes == [302, State.ACTIVE]
    subscription.refresh_from_db()
    assert (subscription.name, subscription.state) == ("Renamed", State.ACTIVE)
    assert LogEntry.objects.for_tenant(subscription.tenant.pk).count() == 2


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
        assert [entry.details["after"]["name"] for entry in entries] == names


def test_a_user_without_view_of_a_row_has_no_history_of_it(owner: User) -> None:
    helper = make_user(email="helper@vendor.example", is_staff=True, two_factor=True)
    client = sign_in(Client(), helper)
    assert client.get(address(User, "history", owner.pk)).status_code == 403
