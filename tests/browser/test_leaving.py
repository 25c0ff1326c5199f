"""An owner exports the data of the tenant, closes it, takes that back, and lets it close."""

import zipfile
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.accounts.models import User
from portal.tenants.flows.closing import run_due
from tests.support.accounts import PASSWORD
from tests.support.appearance import WIDE_LIGHT_AND_NARROW_DARK, WITH_AND_WITHOUT, faultless
from tests.support.factories import make_license, make_subscription
from tests.support.scenes import expect_message

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TENANT = "/tenant/"


def heading(page: Page, text: str) -> None:
    expect(page.locator("main h1")).to_have_text(text)


def banner(page: Page):
    return page.get_by_role("region", name="Closing of the tenant")


def closes(page: Page) -> None:
    page.goto(TENANT)
    page.get_by_role("link", name="Close tenant…").click()
    heading(page, "Close Contoso")
    page.get_by_role("button", name="Close tenant").click()
    expect(page.locator("#id_confirmation_error")).to_contain_text("That does not match.")
    page.get_by_label("To confirm, type Contoso").fill("Contoso")
    page.get_by_role("button", name="Close tenant").click()
    expect_message(page, "Contoso will be closed. All members get a mail.")


@WITH_AND_WITHOUT
def test_export_close_take_back_and_what_is_left(javascript, open_page, owner, contoso, tmp_path):
    license = make_license(subscription=make_subscription(tenant=contoso, name="Field tools"))
    page = open_page(javascript=javascript, user=owner)
    page.goto(TENANT)
    page.get_by_role("link", name="Export all data…").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export all data").click()
    download.value.save_as(tmp_path / "data.zip")
    with zipfile.ZipFile(tmp_path / "data.zip") as archive:
        assert archive.testzip() is None
        name = f"license-files/{license.subscription_id}/Field-tools-primary.json"
        assert name in archive.namelist()
    closes(page)
    page.goto("/subscriptions/")
    expect(banner(page)).to_contain_text("Until then terminals and license keys work as before.")
    banner(page).get_by_role("button", name="Keep Contoso").click()
    expect_message(page, "Contoso stays. All members get a mail.")
    expect(banner(page)).to_have_count(0)
    closes(page)
    run_due(now=timezone.now() + timedelta(days=31))
    page.goto("/subscriptions/")
    heading(page, "Sign in")
    page.get_by_label("Email").fill(owner.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("main")).to_contain_text("not correct")
    assert not User.objects.exists()
    license.refresh_from_db()
    assert license.deleted_at is not None


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
def test_the_pages_of_leaving_are_for_everybody(colours, width, open_page, owner, contoso):
    page = open_page(colours=colours, width=width, user=owner)
    for address in ("/tenant/export/", "/tenant/close/", "/tenant/keep/"):
        page.goto(address)
        faultless(page, address)
    closes(page)
    for address in (TENANT, "/subscriptions/", "/tenant/keep/"):
        page.goto(address)
        expect(banner(page)).to_be_visible()
        faultless(page, address)
