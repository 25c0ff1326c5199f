"""The operators' admin: who comes in, what may be done there, and what is never shown."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from licenses.models import CheckCount, License, LicenseKey, SigningKey, StatusList
from portal.accounts.models import User
from portal.activity.models import VENDOR, LogEntry
from portal.mail.models import Outbox
from portal.operators.models import PendingChange
from portal.tenants.models import Invitation, Member, Tenant
from portal.webhooks.models import Delivery, Endpoint
from subscriptions.models import Plan, Subscription
from tests.support.admin_pages import ADDED, EDITED, LOOKED_AT, address, fill, make_row_in_log
from tests.support.factories import make_subscription
from tests.support.operator_actions import operator_of

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
        "add": model in ADDED,
        "change": model in EDITED,
        "delete": False,
        "view": True,
    }


@pytest.mark.parametrize("model", [*EDITED, *LOOKED_AT])
def test_pages_refuse_what_is_not_to_be_done(
    model: Any, operator_client: Client, operator: User, signing_key: SigningKey
) -> None:
    fill()
    if model is LogEntry:
        make_row_in_log(operator_client)
    row = model.objects.exclude(pk=operator.pk).first()
    adds = 200 if model in ADDED else 403
    assert operator_client.get(address(model, "add")).status_code == adds
    assert operator_client.get(address(model, "change", row.pk)).status_code == 200
    if model not in EDITED:
        assert operator_client.post(address(model, "change", row.pk), {}).status_code == 403
    url = address(model, "delete", row.pk)
    assert operator_client.post(url, {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", [*EDITED, *LOOKED_AT])
def test_a_list_is_exported_for_those_who_may_view_it(
    model: Any, operator_client: Client, operator: User, signing_key: SigningKey
) -> None:
    fill()
    operator.is_superuser = False
    operator.save()
    everything = Permission.objects.filter(codename__startswith="view_")
    of_this = Q(codename=f"view_{model._meta.model_name}")
    url = address(model, "export")
    operator.user_permissions.set(everything.exclude(of_this))
    assert operator_client.get(url).status_code == 403
    operator.user_permissions.set(everything.filter(of_this))
    assert operator_client.get(url).status_code == 200


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


# Lists


HEADS: dict[Any, list[str]] = {
    Tenant: ["Name", "Country", "Active subscriptions", "Health"],
    Plan: ["Name", "Edition", "Offered", "Plan URN"],
    Subscription: ["Name", "Tenant", "State", "License keys", "End"],
    User: ["Email address", "Tenants", "Second factor", "May sign in", "Joined"],
    License: ["Holder's name", "Tenant", "Subscription", "Created", "Deleted"],
    LicenseKey: ["Subscription", "Tenant", "Slot", "State", "Issued", "Expires"],
    SigningKey: ["Key id", "State", "Activated", "Valid until", "License keys signed"],
    LogEntry: ["Action", "Actor name", "Tenant", "Time"],
    CheckCount: ["Checks", "Result", "Subscription", "License key", "Last"],
    StatusList: ["Number", "Size", "Created"],
    Endpoint: ["Address", "Whose", "State", "Created"],
    Delivery: ["Event", "Endpoint", "Created", "State"],
    Outbox: ["Subject", "State", "Attempts", "Created"],
    Invitation: ["Email", "Tenant", "Role", "State", "Expires"],
    Member: ["User", "Tenant", "Role", "Joined"],
    PendingChange: ["Kind", "Person or tenant", "Requested by", "Due", "Outcome"],
}
"""The columns of every list: few enough for a window of 1280 px; the rest is in second lines."""


def test_lists_show_few_columns_and_their_exports_what_stands_below_them_too(
    operator_client: Client, signing_key: SigningKey
) -> None:
    fill()
    make_row_in_log(operator_client)
    found = {}
    for model in HEADS:
        listing = operator_client.get(address(model, "changelist")).context["cl"]
        found[model] = [head.label for head in listing.heads()]
        below = [head.below for head in listing.heads() if head.below]
        export: Any = operator_client.get(address(model, "export"))
        first = b"".join(export.streaming_content).decode("utf-8-sig").splitlines()[0]
        assert len(first.split(",")) == (
            len(found[model]) + len(below) + len(listing.model_admin.also_exported)
        )
    assert found == HEADS


def test_all_of_a_select_is_no_filter_and_others_are_told(
    operator_client: Client, contoso: Tenant
) -> None:
    make_subscription(tenant=contoso, name="Field tools")
    url = address(Subscription, "changelist")
    asked = {"q": "", "plan__id__exact": "", "country": "", "tenant__id__exact": contoso.pk}
    response = operator_client.get(url, asked)
    listing = response.context["cl"]
    assert [row.name for row in listing.result_list] == ["Field tools"]
    [(sentence, _address)] = listing.told()
    assert sentence == "Tenant: Contoso"


def test_the_filter_by_country_offers_those_that_occur(
    operator_client: Client, contoso: Tenant
) -> None:
    listing = operator_client.get(address(Tenant, "changelist")).context["cl"]
    [country] = [select for select in listing.selects() if select.name == "country"]
    assert country.options == [("", "All", True), ("USA", "United States", False)]


# Speed


@pytest.mark.sweep
def test_lists_cost_the_same_at_1_and_at_25_rows(
    operator_client: Client, signing_key: SigningKey
) -> None:
    def costs() -> dict[Any, tuple[int, int]]:
        """Return rows and queries of every list."""
        found = {}
        for model in [*EDITED, *LOOKED_AT]:
            url = address(model, "changelist")
            operator_client.get(url, {"q": ""})  # what is cached once is not counted
            with CaptureQueriesContext(connection) as queries:
                response = operator_client.get(url)
            assert response.status_code == 200
            found[model] = len(response.context["cl"].result_list), len(queries)
        return found

    fill()
    make_row_in_log(operator_client)
    before = costs()
    for _ in range(24):
        fill()
        make_row_in_log(operator_client)
    after = costs()
    few = {StatusList, SigningKey, Plan}  # the list of plans begins with those that are sold
    grown = {model for model in before if after[model][0] >= min(25, before[model][0] + 24)}
    assert grown == before.keys() - few
    queries = {model: cost for model, (_, cost) in before.items()}
    assert {model: cost for model, (_, cost) in after.items()} == queries
    assert max(queries.values()) <= 12


def test_what_operators_may_not_open_or_mistype_keeps_their_menu(db):
    client = operator_of("support")
    for url, status, sentence in (
        ("/admin/subscriptions/subscription/add/", 403, "Your groups do not allow this"),
        ("/admin/nowhere/", 404, "Search for it"),
    ):
        answer = client.get(url)
        shown = answer.content.decode()
        assert answer.status_code == status
        assert sentence in shown
        assert 'id="search-everything"' in shown
        assert shown.index(">Customers<") < shown.index(">Licenses<") < shown.index(">Operations<")


def test_the_log_leads_to_the_customer_and_is_found_by_its_name_and_by_day(
    operator_client, contoso
):
    make_row_in_log(operator_client)
    row = LogEntry.objects.exclude(tenant_id=VENDOR).first()
    name = Tenant.objects.get(pk=row.tenant_id).name
    url, today = address(LogEntry, "changelist"), f"{row.at:%Y-%m-%d}"
    for query, is_there in (
        ({"q": name}, True),
        ({"since": today, "until": today}, True),
        ({"until": "2001-01-01"}, False),
    ):
        answer = operator_client.get(url, query)
        found = [each.pk for each in answer.context["cl"].result_list]
        assert (row.pk in found) == is_there, query
        link = reverse("admin:portal_tenant_customer", args=[row.tenant_id])
        assert (f'href="{link}"' in answer.content.decode()) == is_there
    export = address(LogEntry, "export")
    assert operator_client.get(export, {"since": "never"}).status_code == 400
