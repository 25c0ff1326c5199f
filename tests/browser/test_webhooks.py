"""Webhooks as a manager sets them up, with JavaScript and without, on a desk and a phone."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from portal.webhooks.delivering import claim, finish
from portal.webhooks.models import Endpoint
from portal.webhooks.sending import Answer
from tests.support.browser import axe, sideways_scroll

URL = "https://receiver.example/hooks/license-keys"
PICTURES = os.environ.get("PICTURES")
"""Folder for pictures of the pages, where somebody wants to look at them."""


def look(page, name, javascript):
    if javascript:
        axe(page)
        assert sideways_scroll(page) == 0
    if PICTURES:
        width = page.viewport_size["width"]
        page.screenshot(path=Path(PICTURES) / f"{name}-{width}.png", full_page=True)


@pytest.mark.parametrize(
    ("javascript", "width", "colours"),
    [(True, 320, "dark"), (False, 1280, "light")],
)
@pytest.mark.sweep
def test_a_manager_sets_up_a_webhook(open_page, manager, javascript, width, colours):
    page = open_page(user=manager, javascript=javascript, width=width, colours=colours)
    page.goto("/tenant/")
    page.get_by_role("link", name="Webhooks").click()
    look(page, "empty", javascript)
    page.get_by_role("link", name="Add webhook…").click()
    page.get_by_label("Address").fill(URL)
    page.get_by_label("key.expiring").uncheck()
    look(page, "add", javascript)
    page.get_by_role("button", name="Add webhook").click()
    secret = page.locator("#secret")
    expect(secret).to_have_value(re.compile(r"^whsec_[\w+/]{43}=$"))
    look(page, "secret", javascript)
    page.get_by_role("link", name="I have saved the secret").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("receiver.example")
    page.get_by_role("link", name="Send test event…").click()
    if javascript:
        look(page, "dialog", javascript)
    page.get_by_role("button", name="Send test event").click()
    expect(page.get_by_role("link", name="Test event", exact=True)).to_be_visible()
    [endpoint] = Endpoint.objects.all()
    assert "key.expiring" not in endpoint.events
    answer = Answer(code=503, text="<h1>Busy</h1>" * 20, milliseconds=412)
    finish(claim(endpoint).delivery, answer)
    finish(endpoint.deliveries.get(), Answer(code=410, milliseconds=9))
    page.reload()
    expect(page.get_by_text("The portal switched this webhook off")).to_be_visible()
    look(page, "off", javascript)
    page.get_by_role("link", name="Test event", exact=True).click()
    page.get_by_text("Body", exact=True).click()
    look(page, "delivery", javascript)
    page.get_by_role("link", name="receiver.example").click()
    page.get_by_role("link", name="Switch on…").click()
    page.get_by_role("button", name="Switch on webhook").click()
    expect(page.get_by_role("link", name="Switch off…")).to_be_visible()
    page.get_by_role("link", name="Webhooks").click()
    look(page, "list", javascript)
    page.get_by_role("link", name=URL).click()
    page.get_by_role("link", name="Delete webhook…").click()
    page.get_by_role("button", name="Delete webhook").click()
    expect(page.get_by_text("The webhook to receiver.example was deleted.")).to_be_visible()
