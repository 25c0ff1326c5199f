"""The first visit: what it loads, and in which zone its times are."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import sign_in_browser
from tests.support.factories import make_license, make_subscription

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_VISIT = 110_000
"""Bytes that the first page of a visit loads at most, headers included."""


def loaded(page: Page, path: str) -> int:
    """Return how many bytes the first load of the page takes."""
    sizes: list[int] = []
    network = page.context.new_cdp_session(page)
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    network.send("Network.enable")
    network.send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto(path)
    page.wait_for_load_state("networkidle")
    return round(sum(sizes))


@pytest.mark.sweep
def test_a_first_visit_of_a_polish_tenant_is_light_too(
    open_page, live_portal, owner, contoso, signing_key
):
    license = make_license(subscription=make_subscription(tenant=contoso, name="Łódź Żuraw"))
    page = open_page(user=owner)
    assert 50_000 < loaded(page, "/subscriptions/") < FIRST_VISIT
    assert 50_000 < loaded(page, license.subscription.get_absolute_url()) < FIRST_VISIT


def test_a_first_visit_is_light_and_shows_times_in_the_zone_of_the_browser(
    open_page, live_portal, owner
):
    page = open_page(timezone_id="Asia/Tokyo")
    assert 50_000 < loaded(page, "/accounts/login/") < FIRST_VISIT

    sign_in_browser(page.context, owner, live_portal.url)
    page.goto("/profile/")
    expect(page.locator(".site-footer")).to_contain_text("Times are in Asia/Tokyo (UTC+9)")
