"""Operators in a browser: signing keys, the support view, the start page with its figures."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from licenses import keys
from licenses.flows.signing_keys import create_signing_key
from licenses.models import CheckCount, SigningKey
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from tests.support.appearance import THEMES, looks
from tests.support.browser import axe, sideways_scroll
from tests.support.factories import make_license, make_subscription
from tests.support.license_flows import BOB

pytestmark = pytest.mark.browser


@pytest.mark.sweep
def test_a_signing_key_is_created_activated_and_the_old_one_disabled(
    open_page: Callable[..., Page], operator: User, signing_key: SigningKey
) -> None:
    make_license()
    page = open_page(user=operator)
    page.goto("/admin/licenses/signingkey/")
    page.get_by_role("link", name="Create signing key…").click()
    looks(page)
    page.get_by_role("button", name="Create signing key").click()
    expect(page.locator(".error")).to_have_text("Write why you do this.")
    page.get_by_label("Reason").fill("Yearly")
    page.get_by_role("button", name="Create signing key").click()
    result = page.locator(".notice[role=status]")
    expect(result).to_contain_text("is published. It can be activated from")
    page.get_by_role("link", name="Activate signing key…").click()
    page.get_by_label("Reason").fill("Leaked")
    page.get_by_role("button", name="Activate signing key").click()
    expect(page.get_by_role("alert")).to_contain_text("was published too recently")
    assert keys.active() == signing_key
    expect(page.get_by_label("Reason")).to_have_value("Leaked")
    page.get_by_label("Emergency").check()
    page.get_by_role("button", name="Activate signing key").click()
    expect(result).to_contain_text("signs from now on.")
    page.goto(f"/admin/licenses/signingkey/{signing_key.pk}/disable/")
    expect(page.get_by_role("row").last).to_contain_text("License keys that this refuses: 2")
    looks(page)
    page.get_by_label("Reason").fill("Leaked")
    page.get_by_label("Confirmation").fill("wrong")
    page.get_by_role("button", name="Disable signing key").click()
    expect(page.locator(".error")).to_contain_text(f"Type {signing_key.kid[:8]}")
    page.get_by_label("Confirmation").fill(signing_key.kid[:8])
    page.get_by_role("button", name="Disable signing key").click()
    expect(result).to_contain_text("is disabled")
    page.get_by_role("link", name="Open").click()
    expect(page.get_by_role("link", name="Disable signing key…")).to_have_count(0)
    states = dict(SigningKey.objects.values_list("kid", "state"))
    assert states.pop(signing_key.kid) == "disabled"
    assert list(states.values()) == ["active"]


@pytest.mark.sweep
def test_an_operator_looks_at_the_portal_as_a_tenant(
    open_page: Callable[..., Page],
    operator: User,
    contoso: Tenant,
    signing_key: SigningKey,
) -> None:
    license = make_license(subscription=make_subscription(tenant=contoso, name="Shop analytics"))
    page = open_page(user=operator)
    page.goto(f"/admin/portal/tenant/{contoso.pk}/change/")
    page.get_by_role("link", name="Support view…").click()
    looks(page)
    page.get_by_label("Reason").fill("Ticket 42")
    page.get_by_role("button", name="Start support view").click()
    page.get_by_role("link", name="Shop analytics").click()
    banner = page.get_by_role("region", name="Support view")
    expect(banner).to_contain_text("Support view of Contoso, read-only, until")
    expect(page.get_by_role("heading", name="Primary key")).to_be_visible()
    assert (license.keys.get(slot="primary").token or "") not in page.content()
    for name in ("Download Primary", "Check", "Reset Primary…", "Rename…"):
        expect(page.get_by_role("link", name=re.compile(f"^{name}"))).to_have_count(0)
    page.get_by_role("link", name="Inspect Claims of Primary").click()
    expect(page.get_by_role("dialog")).to_contain_text(str(contoso.pk))
    page.keyboard.press("Escape")
    for colours in THEMES:
        page.emulate_media(color_scheme=colours)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.reload()
        axe(page)
        page.set_viewport_size({"width": 320, "height": 640})
        assert sideways_scroll(page) == 0
        axe(page)
    page.get_by_role("button", name="End the support view").click()
    page.wait_for_url(f"**/admin/portal/tenant/{contoso.pk}/change/")
    actions = (
        LogEntry.objects.for_tenant(contoso.pk).order_by("seq").values_list("action", flat=True)
    )
    assert list(actions) == ["support_view.started", "support_view.ended"]


@pytest.mark.parametrize("javascript", [pytest.param(True, marks=pytest.mark.sweep), False])
def test_the_start_page_tells_its_figures(
    javascript: bool,
    open_page: Callable[..., Page],
    operator: User,
    signing_key: SigningKey,
) -> None:
    license = make_license()
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for result, number in (("valid", 40), ("expired", 10)):
        CheckCount.objects.create(
            tenant=license.tenant,
            license_key=license.keys.get(slot="primary"),
            hour=hour - timedelta(hours=1),
            result=result,
            count=number,
            last_at=hour,
        )
    create_signing_key(actor=BOB)
    page = open_page(user=operator, javascript=javascript)
    page.goto("/admin/")
    checks = page.get_by_role("img", name="50 checks in the last 24 hours, 10 of them refused.")
    expect(checks).to_be_visible()
    heights = [float(bar.get_attribute("height") or 0) for bar in checks.locator("rect").all()]
    assert sorted(heights)[-2:] == [20, 80]
    expect(checks.locator("title").last).to_have_text(re.compile(": [0-9]+ refused"))
    page.get_by_text("Checks by terminals, by hour as a table").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="50", exact=True))
    expect(row.get_by_role("cell")).to_have_text(["50", "10"])
    if javascript:
        looks(page)
        page.set_viewport_size({"width": 320, "height": 640})
        looks(page)
    page.get_by_role("link", name="SMB monthly").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
