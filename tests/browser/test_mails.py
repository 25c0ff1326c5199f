"""Mails as mail programs show them: the HTML says what the text says, and looks like the portal."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser

from licenses import reminders
from portal.mail.models import Outbox
from portal.tenants.models import Role
from tests.support.accounts import make_member
from tests.support.browser import axe, sideways_scroll
from tests.support.factories import make_license, make_subscription

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mail(contoso) -> Outbox:
    make_member(tenant=contoso, role=Role.OWNER, email="owner@contoso.example")
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    for name in ("Field tools <b>&</b> more", "Office"):
        subscription = make_subscription(tenant=contoso, plan="smb-yearly", name=name)
        license = make_license(subscription=subscription)
        license.keys.update(expires_at=in_a_week)
    reminders.send()
    return Outbox.objects.get()


@pytest.mark.parametrize("width", [320, pytest.param(800, marks=pytest.mark.sweep)])
def test_a_mail_is_read_on_every_screen(width, mail, chromium: Browser):
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.set_content(mail.html)
    axe(page, without=("region", "landmark-one-main"))  # mail programs have landmarks of their own
    assert sideways_scroll(page) == 0
    assert page.title() == page.get_by_role("heading").inner_text() == mail.subject
    links = page.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    assert links == re.findall(r"^http://localhost:8000/\S+/$", mail.text, re.M)
    assert len(links) == 4  # each subscription, the list as the button, and what mails are sent
    assert page.get_by_role("link", name="See all subscriptions").count() == 1
    page.close()


def test_text_and_html_say_the_same(mail):
    _, _, body = mail.html.partition("</h1>")
    shown = html.unescape(re.sub(r"<[^>]+>", " ", body))
    # The line in front of a link is the label of its button.
    assert shown.split() == mail.text.replace(":\n\nhttp", "\n\nhttp").replace("-- ", "").split()
