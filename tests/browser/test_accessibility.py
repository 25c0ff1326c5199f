"""Every page and every dialog: axe-core finds nothing, nothing is wider than the window.

One browser walks through everything for each pair of colours and width; it says where it stood.
"""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from subscriptions.models import Subscription
from tests.support.appearance import WIDE_LIGHT_AND_NARROW_DARK, faultless
from tests.support.browser import axe, sign_in_browser
from tests.support.scenes import address, dialog, every_state

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DIALOGS = [
    ("generate", "without keys", "#generate"),
    ("check", "valid", "#check"),
    ("check_presented", "without keys", "#check-presented"),
    ("claims primary", "valid", "#claims-primary"),
    ("reset primary", "overlap", "#reset-primary"),
    ("reset secondary", "expired", "#reset-secondary"),
    ("end_overlap primary", "overlap", "#end-overlap-primary"),
    ("delete", "valid", "#delete"),
    ("rename", "valid", "#rename"),
]
"""The page's name (and slot), on which subscription, and what opens it as a dialog."""
FORMS = {"generate", "check_presented", "delete", "rename"}
"""Where an empty form is refused."""

UNFOLD = "(opener) => opener.closest('details')?.setAttribute('open', '')"
"""Opens what is folded on phones."""

type Walk = Callable[..., Page]


@pytest.fixture
def states(contoso) -> dict[str, Subscription]:
    return every_state(contoso)


@pytest.fixture
def walk(open_page, live_portal, owner, colours, width) -> Walk:
    """Return `walk(user=owner)`: the one page of this test, signed in as somebody else."""
    page = open_page(colours=colours, width=width)

    def signed_in_as(user=owner) -> Page:
        page.context.clear_cookies()
        if user is not None:
            sign_in_browser(page.context, user, live_portal.url)
        return page

    return signed_in_as


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
def test_the_pages_are_for_everybody(states, walk, viewer, stranger, contoso):
    page = walk()
    for where in ("/subscriptions/", "/subscriptions/?q=nothing", "/subscriptions/?state=active"):
        page.goto(where)
        faultless(page, where)
    for name, subscription in states.items():
        page.goto(address(subscription))
        faultless(page, name)
    page.goto(address(states["valid"]))
    page.get_by_text("Configure your terminal").click()
    page.locator("details.menu summary").click()
    faultless(page, "open menu")
    for where in ("/accounts/reauthenticate/", "/accounts/logout/", "/no-such-page/"):
        page.goto(where)
        faultless(page, where)

    page = walk(viewer)
    for name in ("valid", "pending", "without keys"):
        page.goto(address(states[name]))
        faultless(page, f"viewer: {name}")
    page.goto(address(states["without keys"], "generate"))
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not allowed to do this")
    faultless(page, "403")

    page = walk(stranger)
    page.goto("/subscriptions/")
    faultless(page, "no subscriptions")
    page.get_by_role("button", name="Start community subscription").click()
    expect(page.locator("#messages .notice")).to_have_count(1)
    faultless(page, "message")

    page = walk(None)
    for where in (
        "/",
        "/accounts/password/reset/",
        "/accounts/signup/",
        "/results/revoked/",
        "/verify/",
        "/no-such-page/",
    ):
        page.goto(where)
        faultless(page, where)
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill("nobody@contoso.example")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    faultless(page, "failed sign-in")


@pytest.mark.sweep
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_forced_colours_leave_an_edge_to_what_is_pressed_or_a_state(
    states, open_page, owner, colours
):
    page = open_page(colours=colours, user=owner, forced_colors="active")
    for where in ("/subscriptions/", address(states["overlap"]), "/results/expired/"):
        page.goto(where)
        axe(page, without=("color-contrast",))  # the system's colours, which axe-core cannot see
        without = page.evaluate("""() => [...document.querySelectorAll("main :is(.btn, .badge)")]
            .filter((e) => e.checkVisibility() && !e.matches("[data-variant=ghost]"))
            .filter((e) => getComputedStyle(e).borderTopWidth === "0px")
            .map((e) => e.outerHTML.slice(0, 100))""")
        assert (where, without) == (where, [])


@pytest.mark.sweep
def test_paper_shows_what_is_known_and_nothing_to_press(states, open_page, owner):
    page = open_page(colours="dark", user=owner)
    for where in (address(states["valid"]), "/logs/"):
        page.goto(where)
        page.emulate_media(media="print")
        assert page.locator(".btn:visible, nav:visible, form:visible").count() == 0
        assert page.locator("body").evaluate("(e) => getComputedStyle(e).color") == "rgb(0, 0, 0)"
        expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
@pytest.mark.parametrize("as_page", [False, True], ids=["dialogs", "pages"])
def test_the_dialogs_are_for_everybody(as_page, states, walk):
    page = walk()
    for name, state, opener in DIALOGS:
        where = f"{name}, {state}"
        if as_page:
            page.goto(address(states[state], *name.split()))
        else:
            page.goto(address(states[state]))
            page.locator(opener).evaluate(UNFOLD)
            page.locator(opener).click()
        expect(dialog(page)).to_be_visible()
        faultless(page, where)
        if name in FORMS:
            for field in dialog(page).locator("input[type=text]").all():
                field.fill(" ")
            dialog(page).locator("button[type=submit]").click()
            expect(dialog(page).locator(".error")).to_be_visible()
            faultless(page, f"{where}: refused")

    for state, result in (("valid", "valid"), ("expired", "expired"), ("suspended", None)):
        page.goto(address(states[state], "check"))
        dialog(page).locator("button[type=submit]").click()
        code = page.locator("#check-result .notice-title code")
        expect(code).to_have_text(result or "subscription_suspended")
        faultless(page, f"verdict: {state}")
    page.goto(address(states["valid"], "generate"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Not possible now")
    faultless(page, "not possible now")
