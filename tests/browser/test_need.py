"""From the mail about an expiry to the new license file: four clicks at most."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, expect

from licenses import reminders
from licenses.models import Slot
from portal.mail.models import Outbox
from tests.support.accounts import PASSWORD
from tests.support.factories import make_license, make_subscription

pytestmark = pytest.mark.browser


class Clicks:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Locator) -> None:
        target.click()
        self.count += 1


@pytest.mark.parametrize("javascript", [True, pytest.param(False, marks=pytest.mark.sweep)])
@pytest.mark.parametrize(
    "proof",
    [*(pytest.param(proof, marks=pytest.mark.sweep) for proof in ("recent", "old")), "none"],
)
def test_from_the_mail_to_the_new_file_in_four_clicks(
    proof, javascript, open_page, owner, contoso, signing_key, tmp_path
):
    subscription = make_subscription(tenant=contoso, name="Field tools", plan="smb-yearly")
    license = make_license(subscription=subscription)
    license.keys.update(expires_at=timezone.now() + timedelta(days=3))
    reminders.send()
    mail = Outbox.objects.get()
    assert mail.subject == "Both keys of Field tools expire in 3 days"

    click, signed_in_at = Clicks(), timezone.now() - timedelta(hours=1) * (proof == "old")
    user = {} if proof == "none" else {"user": owner, "at": signed_in_at}
    page = open_page(javascript=javascript, **user)
    [link] = re.findall(r'<a href="http://localhost:8000(\S+)"[^>]*>Reset the key</a>', mail.html)
    page.goto(link)
    click.count += 1  # the button of the mail
    if proof == "none":
        page.get_by_label("Email").fill(owner.email)
    if proof != "recent":
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        click(page.get_by_role("button", name=re.compile("^(Sign in|Confirm that it is me)$")))
    click(page.get_by_role("button", name="Reset Primary key"))
    banner = page.get_by_role("region", name="The secondary key expires on")
    expect(banner).to_contain_text("Download the new primary key, install it and check it;")
    with page.expect_download() as download:
        click(banner.get_by_role("link", name="Download Primary"))
    file = tmp_path / "primary.json"
    download.value.save_as(file)
    new = license.keys.current().get(slot=Slot.PRIMARY)
    assert json.loads(file.read_text("utf-8"))["key"] == new.token
    assert click.count == (3 if proof == "recent" else 4)

    page.goto(link)  # somebody else opens the mail later: the key is not reset once more
    expect(page.get_by_role("heading", level=1)).to_have_text("Field tools")
