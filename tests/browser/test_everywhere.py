"""The first visit: what it loads, and in which zone its times are."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser import sign_in_browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST_VISIT = 110_000
"""Bytes that the first page of a visit loads at most, headers included."""


def test_a_first_visit_is_light_and_shows_times_in_the_zone_of_the_browser(
    open_page, live_portal, owner
):
    page = open_page(timezone_id="Asia/Tokyo")
    loaded: list[Any] = []
    network = page.context.new_cdp_session(page)
    network.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    network.send("Network.enable")
    page.goto("/accounts/login/")
    page.wait_for_load_state("networkidle")
    assert 50_000 < sum(loaded) < FIRST_VISIT

    sign_in_browser(page.context, owner, live_portal.url)
    page.goto("/profile/")
    expect(page.locator(".site-footer")).to_contain_text("Times are in Asia/Tokyo (UTC+9)")
