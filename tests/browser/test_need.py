"""From the mail about an expiry to the new license file: four clicks at most."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from licenses import reminders
from licenses.models import Slot
from portal.mail.models import Outbox
from tests.support.browser import axe
from tests.support.factories import make_license, make_subscription

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    "javascript",
    [True, pytest.param(False, marks=pytest.mark.sweep)],
    ids=["with JavaScript", "without"],
)
def test_from_the_mail_to_the_new_file_in_four_clicks(
    javascript, open_page, owner, contoso, signing_key, tmp_path
):
    subscription = make_subscription(tenant=contoso, name="Field tools", plan="smb-yearly")
    license = make_license(subscription=subscription)
    license.keys.update(expires_at=timezone.now() + timedelta(days=3))
    reminders.send()
    mail = Outbox.objects.get()
    assert mail.subject == "Both keys of Field tools expire in 3 days"

    page = open_page(javascript=javascript, user=owner)
    [link] = re.findall(r'<a href="http://localhost:8000(\S+)"[^>]*>Open the subscr', mail.html)
    page.goto(link)  # 1: the button of the mail
    banner = page.get_by_role("region", name="Both keys expire on")
    expect(banner).to_contain_text("in 3 days")
    if javascript:
        axe(page)
    banner.get_by_role("link", name="Reset Primary…").click()  # 2
    page.get_by_role("button", name="Reset Primary key").click()  # 3
    banner = page.get_by_role("region", name="The secondary key expires on")
    expect(banner).to_contain_text("Download the new primary key, install it and check it;")
    with page.expect_download() as download:
        banner.get_by_role("link", name="Download Primary").click()  # 4
    file = tmp_path / "primary.json"
    download.value.save_as(file)
    new = license.keys.current().get(slot=Slot.PRIMARY)
    assert json.loads(file.read_text("utf-8"))["key"] == new.token
