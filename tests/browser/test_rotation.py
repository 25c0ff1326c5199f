"""A rotation in the browser: from a reset with an overlap to the reset of the other key."""

import json
import urllib.request
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from licenses.models import LicenseKey
from tests.support.factories import make_license, make_signing_key, make_subscription
from tests.support.scenes import address, current, dialog
from tests.support.server import LivePortal
from tests.support.terminals import body_for

pytestmark = pytest.mark.browser


class Clicks:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Locator) -> None:
        target.click()
        self.count += 1


def terminal_starts(portal: LivePortal, key: LicenseKey) -> None:
    """Check the key as a terminal does."""
    body = json.dumps(body_for(key)).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{portal.url}/public/checklicense", body, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def step(page: Page) -> Locator:
    """Return the step to take now."""
    return page.locator(".guide-steps > [aria-current=step] strong")


def test_a_rotation_is_led_from_one_reset_to_the_other(open_page, owner, contoso, live_portal):
    now = timezone.now()
    make_signing_key(created_at=now - timedelta(days=100))
    subscription = make_subscription(tenant=contoso, name="Field tools")
    issued_at = now - timedelta(days=26)
    make_license(subscription=subscription, issued_at=issued_at, created_at=issued_at)
    terminal_starts(live_portal, current(subscription, "secondary"))
    page, click = open_page(user=owner), Clicks()
    page.goto(address(subscription))

    expect(page.locator("#advice")).to_contain_text("Reset the primary key first")
    click(page.locator("#reset-primary"))
    click(dialog(page).get_by_role("radio", name="In 24 hours"))
    click(dialog(page).get_by_role("button", name="Reset Primary key"))
    expect(step(page)).to_have_text("Download")
    with page.expect_download():
        click(page.locator("#download-primary"))

    expect(step(page)).to_have_text("Install")
    terminal_starts(live_portal, current(subscription))
    page.reload()
    expect(step(page)).to_have_text("Reset the other")
    expect(page.locator("#advice")).to_have_text(
        "Reset the secondary key: the new primary key is in use."
    )
    click(page.locator("#reset-secondary"))
    click(dialog(page).get_by_role("button", name="Reset Secondary key"))
    expect(step(page)).to_have_text("Download")
    with page.expect_download():
        click(page.locator("#download-secondary"))
    page.reload()
    expect(page.locator(".guide-steps")).to_have_count(0)
    expect(page.locator("#need")).to_contain_text("The old secondary key stops working on")
    assert click.count == 7
