"""Dialogs: focus, closing, refusals, haste, two tabs, a server that is gone, proof again."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, expect

from licenses.flows.delete import delete_keys
from licenses.flows.reset import Overlap, reset_key
from licenses.models import License, LicenseKey, Slot
from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment
from subscriptions.models import Subscription
from tests.support.accounts import PASSWORD, stale
from tests.support.factories import make_license, make_subscription
from tests.support.scenes import address, current, dialog, expect_message

pytestmark = pytest.mark.browser

NAME = "Field tools"
DIALOGS = [
    ("#generate", "License Audience", "input[name=usage]:checked"),
    ("#check-presented", "Check license", "#id_text"),
    ("#check", "Check license", "input[name=slot]:checked"),
    ("#check-primary", "Check license", "#check-result"),
    ("#claims-primary", "Claims of the primary key", "#dialog-title"),
    ("#reset-primary", "Reset primary key", "input[name=overlap]:checked"),
    ("#delete", "Delete both license keys", "#id_confirmation"),
    ("#rename", "Rename subscription", "#id_name"),
]
"""What opens each dialog, its title, and where the focus goes."""
BY_SCRIPT = pytest.mark.parametrize(
    "javascript",
    [
        pytest.param(True, id="with JavaScript"),
        pytest.param(False, id="without", marks=pytest.mark.sweep),
    ],
)


@pytest.fixture
def subscription(contoso, signing_key) -> Subscription:
    return make_subscription(tenant=contoso, name=NAME)


@pytest.fixture
def license(subscription) -> License:
    return make_license(subscription=subscription, holder_name="Contoso")


@pytest.fixture
def opened(open_page, owner, subscription) -> Callable[..., Page]:
    """Return `opened(opener=None, **options)`: the page, and the dialog that `opener` opens."""

    def open_it(opener: str | None = None, **options: object) -> Page:
        page = open_page(**({"user": owner} | options))
        page.goto(address(subscription))
        if opener is not None:
            page.locator(opener).click()
            expect(dialog(page)).to_be_visible()
        return page

    return open_it


def open_dialogs(page: Page) -> int:
    return page.locator("dialog[open]").count()


def posts(page: Page) -> list[str]:
    """Return a list that grows by the address of each POST."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.url)

    page.on("request", note)
    return sent


# Focus and closing


def test_focus_goes_in_and_comes_back(opened, subscription):
    page = opened()
    without_keys, of_keys = DIALOGS[:2], DIALOGS[2:]
    for opener, title, focused in without_keys:
        goes_in_and_comes_back(page, opener, title, focused)
    closes_by_link_and_beside(page, "#check-presented")
    make_license(subscription=subscription, holder_name="Contoso")
    page.reload()
    for opener, title, focused in of_keys:
        goes_in_and_comes_back(page, opener, title, focused)
    expect(page).to_have_url(re.compile(address(subscription) + "$"))


def goes_in_and_comes_back(page: Page, opener: str, title: str, focused: str) -> None:
    page.locator(opener).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=title)).to_be_visible()
    expect(page.locator(focused)).to_be_focused()

    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(dialog(page)).to_have_count(0)
    expect(page.locator(opener)).to_be_focused()


def closes_by_link_and_beside(page: Page, opener: str) -> None:
    page.keyboard.press("Enter")
    dialog(page).get_by_role("link", name=re.compile("Cancel|Close")).click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(opener)).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog(page)).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(opener)).to_be_focused()
    expect(dialog(page)).to_have_count(0)


@pytest.mark.sweep
def test_a_dialog_opens_though_its_link_was_replaced_meanwhile(opened, license):
    """As when the card reloads after another dialog was closed."""
    page = opened()
    for opener, title, _ in DIALOGS[4:6]:
        page.evaluate(
            """opener => {
                const link = document.querySelector(opener);
                link.click();
                link.replaceWith(link.cloneNode(true));
            }""",
            opener,
        )
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(opener)).to_be_focused()


def test_tab_stays_in_the_dialog(opened, license):
    page = opened("#reset-primary")
    inside = "document.activeElement.closest('#dialog') || document.activeElement === document.body"
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate(f"!!({inside})")


@pytest.mark.sweep
def test_a_link_that_opens_in_a_new_tab_shows_the_page(opened, license, subscription):
    page = opened()
    with page.context.expect_page() as tab:
        page.locator("#reset-primary").click(modifiers=["Control"])
    expect(tab.value).to_have_url(re.compile(address(subscription, "reset", "primary") + "$"))
    expect(tab.value.get_by_role("heading", level=1)).to_have_text("Reset primary key")
    assert open_dialogs(page) == 0


# Refusals


REFUSALS = [
    ("#generate", "Generate license keys", "https://x", "Enter a name, not an address"),
    ("#generate", "Generate license keys", "Con{toso}", "Leave out the braces { and }"),
    ("#check-presented", "Check license key", " ", "Paste a license key or choose"),
    ("#delete", "Delete license keys", "Field", "That does not match."),
    ("#rename", "Rename subscription", "  ", "Enter a name."),
]
"""What opens the dialog, its button, what is typed, and how the sentence begins."""


@pytest.mark.sweep
def test_a_refusal_stays_in_the_dialog_at_its_field(opened, subscription):
    page = opened()
    for opener, button, typed, sentence in REFUSALS:
        if opener == "#delete":
            make_license(subscription=subscription, holder_name="Contoso")
            page.reload()
        page.locator(opener).click()
        field = dialog(page).locator("input[type=text], textarea")
        field.fill(typed)
        dialog(page).get_by_role("button", name=button, exact=True).click()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        expect(field).to_have_accessible_description(re.compile(re.escape(sentence)))
        assert open_dialogs(page) == 1
        page.keyboard.press("Escape")
        expect(page.locator(opener)).to_be_focused()


def test_a_refusal_goes_away_with_the_next_verdict(opened):
    page = opened("#check-presented")
    dialog(page).get_by_role("button", name="Check license key").click()
    expect(dialog(page).locator(".error")).to_have_count(1)
    dialog(page).get_by_label("License key", exact=True).fill("no key")
    dialog(page).get_by_role("button", name="Check license key").click()
    expect(page.locator("#check-result .notice-title code")).to_have_text("malformed")
    expect(dialog(page).locator(".error")).to_have_count(0)
    expect(dialog(page).get_by_label("License key", exact=True)).to_have_value("no key")


# Haste, and two people at once


@BY_SCRIPT
def test_a_double_click_on_generate_makes_one_license(javascript, opened, subscription):
    page = opened(javascript=javascript)
    page.locator("#generate").click()
    sent = posts(page)
    dialog(page).get_by_role("button", name="Generate license keys").dblclick()
    # Without JavaScript the second press is a request too, and is told what happened.
    expect(page.locator("article.key, .dialog-body [role=alert]")).not_to_have_count(0)
    assert len(sent) == 1 or not javascript
    assert License.objects.filter(subscription=subscription).count() == 1
    assert LicenseKey.objects.count() == 2


@BY_SCRIPT
@pytest.mark.sweep
def test_a_stale_generate_says_who_and_when(javascript, opened, subscription):
    page = opened("#generate", javascript=javascript)
    made = make_license(subscription=subscription, holder_name="Contoso")
    dialog(page).get_by_role("button", name="Generate license keys").click()
    expect(dialog(page).get_by_role("alert")).to_have_text(
        f"Factory generated the license keys of this subscription on {moment(made.created_at)}. "
        "Nothing was generated again."
    )
    assert License.objects.count() == 1


@BY_SCRIPT
def test_a_stale_reset_says_who_and_when_and_changes_nothing(
    javascript, opened, license, subscription
):
    page = opened("#reset-primary", javascript=javascript)
    dialog(page).get_by_role("radio", name="In 7 days").check()
    key = current(subscription)
    colleague = Actor(kind=ActorKind.MEMBER, name="Milan Novak")
    newer = reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=colleague,
        overlap=Overlap.NOW,
        expected_jti=key.jti,
    )
    dialog(page).get_by_role("button", name="Reset Primary key").click()
    expect(dialog(page).get_by_role("alert")).to_have_text(
        f"Milan Novak reset the primary key on {moment(newer.issued_at)}. Nothing was changed: "
        "look at the new key first."
    )
    expect(dialog(page).get_by_role("radio", name="In 7 days")).to_be_checked()
    assert current(subscription) == newer


@pytest.mark.sweep
def test_what_changed_meanwhile_is_shown_when_the_dialog_closes(opened, license, subscription):
    page = opened("#reset-primary")
    key = current(subscription)
    newer = reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=Actor(kind=ActorKind.MEMBER, name="Milan Novak"),
        overlap=Overlap.NOW,
        expected_jti=key.jti,
    )
    dialog(page).get_by_role("button", name="Reset Primary key").click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("Milan Novak reset")
    dialog(page).get_by_role("link", name="Cancel").click()
    expect(page.locator("article.key .key-id").first).to_have_text(str(newer.jti))


@pytest.mark.sweep
def test_a_reset_of_keys_that_were_deleted_meanwhile_says_so(opened, license):
    page = opened("#reset-primary")
    gone = delete_keys(license=license, actor=Actor(kind=ActorKind.MEMBER, name="Milan Novak"))
    dialog(page).get_by_role("button", name="Reset Primary key").click()
    expect(dialog(page).get_by_role("alert")).to_have_text(
        f"Milan Novak deleted these license keys on {moment(gone.deleted_at)}. There is nothing "
        "to reset."
    )
    dialog(page).get_by_role("link", name=f"Back to {NAME}").click()
    expect(page.locator("#generate")).to_be_visible()


# The server is gone


@pytest.mark.sweep
def test_a_server_that_is_gone_is_told_in_the_dialog_and_nothing_is_lost(
    opened, license, subscription, live_portal, watch
):
    watch.allow("ERR_CONNECTION_REFUSED|htmx:(afterRequest|sendError)")
    page = opened("#reset-primary")
    before = current(subscription)
    dialog(page).get_by_role("radio", name="In 24 hours").check()
    live_portal.stop()
    try:
        dialog(page).get_by_role("button", name="Reset Primary key").click()
        expect(dialog(page).get_by_role("alert")).to_contain_text(
            "The portal did not answer. It is not certain whether your last action was carried "
            "out; reload the page to see the present state before you try again."
        )
        expect(dialog(page).get_by_role("radio", name="In 24 hours")).to_be_checked()
    finally:
        live_portal.start()
    assert current(subscription) == before
    dialog(page).get_by_role("button", name="Reset Primary key").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.get_by_text("The old key works too")).to_be_visible()
    assert current(subscription) != before


# Proof again


def proves(page: Page) -> None:
    """Give the password on the page that asks for it."""
    expect(page.locator("main h1")).to_have_text("Confirm that it is you")
    expect(page.get_by_text("then you continue where you were.")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm that it is me").click()


@BY_SCRIPT
@pytest.mark.parametrize("action", ["reset", pytest.param("delete", marks=pytest.mark.sweep)])
def test_after_15_minutes_the_proof_comes_before_the_form(
    action, javascript, opened, license, subscription
):
    page = opened(javascript=javascript, at=stale())
    page.locator({"reset": "#reset-secondary", "delete": "#delete"}[action]).click()
    proves(page)

    slot = ["secondary"] if action == "reset" else []
    expect(page).to_have_url(re.compile(address(subscription, action, *slot) + "$"))
    if action == "reset":
        dialog(page).get_by_role("button", name="Reset Secondary key").click()
        expect_message(page, "The secondary key was reset.")
        assert license.keys.count() == 3
    else:
        dialog(page).get_by_role("textbox").fill(NAME)
        dialog(page).get_by_role("button", name="Delete license keys").click()
        expect(page.locator("#generate")).to_be_visible()
        assert LicenseKey.objects.current().count() == 0


@pytest.mark.sweep
def test_a_session_that_ended_leads_from_the_dialog_to_the_sign_in(opened, license):
    page = opened()
    page.context.clear_cookies()
    page.locator("#check").click()
    expect(page.locator("main h1")).to_have_text("Sign in")
