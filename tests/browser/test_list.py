"""The list of subscriptions as somebody uses it: on a phone, and by keyboard alone."""

import zipfile

from django.utils import timezone
from playwright.sync_api import expect

from portal.activity.models import LogEntry
from subscriptions.models import State
from tests.support.browser import axe, sideways_scroll
from tests.support.factories import make_license, make_subscription

LIST = "/subscriptions/"


def test_the_list_triages_on_a_phone(open_page, owner, contoso, signing_key):
    make_license(subscription=make_subscription(tenant=contoso, name="Field tools"))
    make_subscription(tenant=contoso, name="Partner toolkit", state=State.PENDING)
    page = open_page(user=owner, width=320)
    page.goto(LIST)
    page.get_by_role("link", name="Pending 1").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    row = page.locator("tbody tr")
    name, state, expiry, plan = (
        row.locator(part).bounding_box()
        for part in ("th a", ".needs .badge", ".expire > *", ".plan")
    )
    assert abs(name["y"] - state["y"]) < 8 > abs(expiry["y"] - plan["y"])
    assert row.bounding_box()["height"] < 80
    assert sideways_scroll(page) == 0
    axe(page)
    page.get_by_role("link", name="Partner toolkit").click()
    expect(page.get_by_role("button", name="Activate my Subscription")).to_be_visible()


def test_files_of_several_are_chosen_and_downloaded_by_keyboard(
    open_page, owner, contoso, signing_key
):
    for name in ("Field tools", "Lab"):
        make_license(subscription=make_subscription(tenant=contoso, name=name))
    half = make_license(subscription=make_subscription(tenant=contoso, name="Half"))
    half.keys.filter(slot="secondary").update(revoked_at=timezone.now())
    page = open_page(user=owner)
    page.goto(LIST)
    page.get_by_label("Choose all on this page").focus()
    page.keyboard.press("Space")
    told = page.locator("[data-chosen]")
    expect(told).to_have_text("3 of 3 chosen")
    page.locator("#id_keys").select_option("secondary")
    expect(told).to_have_text(
        "3 of 3 chosen, 2 of them have a file. No secondary key to download: Half."
    )
    page.get_by_label("Choose Half").uncheck()
    page.get_by_label("Choose all on this page").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("B")  # Both keys
    page.keyboard.press("Tab")
    for _ in range(2):  # the button is not used up by the first file
        with page.expect_download() as download:
            page.keyboard.press("Enter")
    assert sorted(zipfile.ZipFile(download.value.path()).namelist()) == [
        "Field-tools-primary.json",
        "Field-tools-secondary.json",
        "Lab-primary.json",
        "Lab-secondary.json",
        "README.txt",
    ]
    assert LogEntry.objects.filter(action="license_key.downloaded").count() == 8
