"""The operators' admin in a browser."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from licenses.models import LicenseKey
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from subscriptions.models import Plan, Subscription
from tests.support.accounts import sign_in
from tests.support.admin_pages import ADDED, EDITED, LOOKED_AT, address, fill, make_row_in_log
from tests.support.browser import axe, sideways_scroll
from tests.support.factories import make_subscription, make_tenant

LONG = "Donaudampfschifffahrtsgesellschaft für Elektrizitätswirtschaft und Söhne mbH & Co. KG"
JAPANESE = "株式会社日本電気計測器ソフトウェア開発研究所ライセンス管理部"

HIDDEN_PART = """() => {
    const table = document.querySelector(".table-scroll");
    return table ? table.scrollWidth - table.clientWidth : 0;
}"""
"""Pixels of the list that are out of sight at its side."""


NEW = ("licenses_signingkey_create", "portal_endpoint_add_webhook")
"""Pages that ask for the confirmation of something new."""


@pytest.mark.sweep
@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "colours"),
    [(390, "dark"), (768, "light"), (1280, "light"), (1280, "dark"), (1920, "dark")],
)
def test_every_page_keeps_the_content_policy_and_is_accessible(
    width: int, colours: str, open_page: Callable[..., Page], operator: User
) -> None:
    """`open_page` fails on every error that the console shows; a breach of the policy is one."""
    fill()
    make_tenant(name=LONG, country="DEU")
    make_subscription(tenant=make_tenant(name=JAPANESE, country="JPN"), name=LONG)
    client = sign_in(Client(), operator)
    make_row_in_log(client)
    page = open_page(user=operator, colours=colours, width=width)
    paths = ["/admin/", "/admin/portal/"]
    for model in [*EDITED, *LOOKED_AT]:
        row = model.objects.first()
        paths += [address(model, "changelist"), address(model, "change", row.pk)]
        paths += [address(model, "add")] if model in ADDED else []
    paths.append(f"{address(Subscription, 'changelist')}?{urlencode({'q': 'nothing'})}")
    paths += [address(Tenant, "import"), address(Subscription, "import")]
    paths.append(reverse("admin:licenses_licensekey_find"))
    key = LicenseKey.objects.first()
    assert key is not None
    paths.append(reverse("admin:licenses_licensekey_check", args=[key.pk]))
    paths.append(reverse("admin:portal_tenant_customer", args=[key.tenant_id]))
    paths += [reverse(f"admin:{action}") for action in NEW]
    for path in paths:
        page.goto(path)
        policy = page.evaluate(
            "fetch(location.href).then(r => r.headers.get('Content-Security-Policy'))"
        )
        assert "default-src 'none'" in policy
        axe(page)
        assert (path, sideways_scroll(page)) == (path, 0)
        if width >= 1280:
            assert (path, page.evaluate(HIDDEN_PART)) == (path, 0)


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
    end = page.get_by_role("group", name="End")
    end.get_by_label("Day").fill("2030-05-15")
    end.get_by_label("Time (UTC)").fill("12:00")
    page.fill("#id_reason", "Order 4711")
    page.locator("[name=_save]").click()
    page.wait_for_url(f"**{address(Subscription, 'changelist')}")
    subscription = Subscription.objects.get()
    assert subscription.tenant == contoso
    assert subscription.ends_at is not None
    assert subscription.ends_at.isoformat() == "2030-05-15T12:00:00+00:00"
    page.locator("[name=q]").fill("terminals")
    page.locator("[name=q]").press("Enter")
    page.get_by_role("link", name="Terminals", exact=True).click()
    page.get_by_role("link", name="History").click()
    page.wait_for_url(f"**{address(LogEntry, 'changelist')}?*")
    assert page.locator("#result_list tbody tr:not(.day)").count() == 1


@pytest.mark.browser
def test_a_related_row_is_added_in_a_popup(open_page: Callable[..., Page], operator: User) -> None:
    page = open_page(user=operator)
    page.goto(address(Subscription, "add"))
    with page.expect_popup() as opened:
        page.locator("#add_id_tenant").click()
    popup = opened.value
    popup.fill("#id_name", "Northwind")
    popup.select_option("#id_country", "NLD")
    popup.fill("#id_owner_email", "jane@northwind.example")
    popup.fill("#id_reason", "Order 4711")
    with popup.expect_event("close"):
        popup.locator("[name=_save]").click()
    assert page.locator("#select2-id_tenant-container").inner_text().strip("×\n") == "Northwind"


@pytest.mark.browser
@pytest.mark.sweep
def test_the_colours_that_were_chosen_in_the_portal_hold(
    open_page: Callable[..., Page], operator: User, live_portal: Any
) -> None:
    page = open_page(user=operator, colours="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto("/admin/")
    assert page.evaluate(ground) == "oklch(1 0 0)"
    page.context.add_cookies([{"name": "theme", "value": "dark", "url": live_portal.url}])
    page.goto("/admin/")
    assert page.evaluate(ground) == "oklch(0.145 0 0)"


@pytest.mark.browser
def test_signing_out_leads_to_the_portals_sign_in(
    open_page: Callable[..., Page], operator: User
) -> None:
    page = open_page(user=operator)
    page.goto("/admin/")
    page.locator(".tools .menu > summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/**")
