"""An owner makes a service token, a program uses it, it is rotated and revoked."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.core import token_format
from subscriptions.service_tokens.models import ServiceToken, TokenState
from tests.support.appearance import WIDE_LIGHT_AND_NARROW_DARK, WITH_AND_WITHOUT, faultless
from tests.support.factories import make_subscription
from tests.support.scenes import dialog, expect_message
from tests.support.service_tokens import make_service_token

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def shown(page: Page, name: str) -> str:
    """Return the secret that the page shows once."""
    expect(page.locator("main h1")).to_have_text(name)
    return page.locator("[data-secret] code").inner_text()


def row(page: Page, text: str) -> Any:
    return (
        page.get_by_role("region", name="List of tokens that work")
        .locator("tbody tr")
        .filter(has_text=text)
    )


def makes(page: Page) -> str:
    page.goto("/tenant/")
    page.get_by_role("link", name="Service tokens").click()
    page.get_by_role("link", name="Make token…").click()
    page.get_by_label("Name", exact=True).fill("Nightly renewal")
    page.get_by_label("keys:renew").check()
    expect(page.get_by_label("Only these subscriptions")).to_be_hidden()
    page.get_by_label("Only those below").check()
    page.get_by_label("Only these subscriptions").fill("Field tool")
    page.get_by_label("Only from these networks").fill("203.0.113.0/24")
    page.get_by_role("button", name="Make token").click()
    expect(page.locator("#id_subscriptions_error")).to_have_text(
        "There is no subscription “Field tool”."
    )
    expect(page.get_by_label("keys:renew")).to_be_checked()
    page.get_by_label("Only these subscriptions").fill("Field tools")
    page.get_by_role("button", name="Make token").click()
    return shown(page, "Nightly renewal")


@WITH_AND_WITHOUT
def test_make_use_rotate_and_revoke(
    javascript: bool, open_page: Callable[..., Page], live_portal: Any, owner, contoso
):
    make_subscription(tenant=contoso, name="Field tools")
    page = open_page(
        javascript=javascript, user=owner, permissions=["clipboard-read", "clipboard-write"]
    )
    first = makes(page)
    assert token_format.is_whole(first)
    if javascript:
        page.get_by_role("button", name="Copy service token").click()
        assert page.evaluate("navigator.clipboard.readText()") == first
    page.get_by_role("link", name="I have copied the token").click()
    expect(row(page, f"ends in {first[-4:]}")).to_contain_text("keys:renew Field tools only from")
    row(page, "Nightly renewal").get_by_role("link", name="Rotate…").click()
    page.get_by_label("In 7 days").check()
    page.get_by_role("button", name="Rotate token").click()
    second = shown(page, "Nightly renewal")
    expect(page.locator("main")).to_contain_text(f"which ends in {first[-4:]}, works until")
    page.get_by_role("link", name="I have copied the token").click()
    expect(row(page, first[-4:]).locator(".badge").first).to_have_text("Rotated, still works")
    row(page, second[-4:]).get_by_role("link", name="Revoke…").click()
    expect(dialog(page)).to_contain_text(f"which ends in {first[-4:]}, still works")
    dialog(page).get_by_label("Reason").fill("The laptop is gone.")
    dialog(page).get_by_role("button", name="Revoke token").click()
    expect_message(page, "Nightly renewal was revoked. Programs that use it are refused.")
    expect(row(page, second[-4:])).to_have_count(0)
    # A program that found the other one ends it.
    answer = page.request.post("/api/v1/revoke", data={"token": first})
    assert answer.status == 200
    page.reload()
    expect(page.locator("main")).to_contain_text("No service token yet")
    ended = page.get_by_role("region", name="List of tokens that ended")
    expect(ended).to_contain_text("by Owner The laptop is gone.")
    expect(ended).to_contain_text("by Holder of the token Somebody who holds it reported")
    page.goto("/logs/?action=token.revoked")
    expect(page.locator("tbody tr")).to_have_count(2)
    states = {token.state_at(token.revoked_at) for token in ServiceToken.objects.all()}
    assert states == {TokenState.REVOKED}


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
def test_the_pages_are_for_everybody(colours, width, open_page, owner, contoso):
    now_used = make_service_token(tenant=contoso, name="Renewal of the terminals in Berlin")[0]
    ServiceToken.objects.update(last_used_at=now_used.created_at, last_used_from="2001:db8::17")
    make_service_token(
        tenant=contoso,
        revoked_at=now_used.created_at,
        revoked_by_name="Ada",
        networks=["192.0.2.0/24", "2001:db8:1234:5678::/64"],
    )
    page = open_page(colours=colours, width=width, user=owner)
    for address in ("", "new/", f"{now_used.pk}/rotate/", f"{now_used.pk}/revoke/"):
        page.goto(f"/tenant/tokens/{address}")
        faultless(page, address)
    page.goto(f"/tenant/tokens/{now_used.pk}/rotate/")
    page.get_by_role("button", name="Rotate token").click()
    shown(page, "Renewal of the terminals in Berlin")
    faultless(page, "shown")
