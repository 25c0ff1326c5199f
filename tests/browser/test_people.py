"""A company runs its account: invite, accept, act in each role; with JavaScript and without."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.mail.models import Outbox
from portal.tenants.models import Member, Role, Tenant
from subscriptions.models import State, Subscription
from tests.support.accounts import PASSWORD
from tests.support.appearance import (
    WIDE_LIGHT_AND_NARROW_DARK,
    WITH_AND_WITHOUT,
    faultless,
    wide_parts,
)
from tests.support.browser import sideways_scroll, sign_in_browser
from tests.support.factories import make_license, make_member, make_subscription
from tests.support.scenes import address, dialog, expect_message

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NEW, NAME = "nora@contoso.example", "Nora New"
TENANT = "/tenant/"


def follow(page: Page, name: str, *, javascript: bool) -> None:
    page.get_by_role("link", name=name).click()
    expect(dialog(page)).to_be_visible()
    expect(page.locator("dialog[open]")).to_have_count(1 if javascript else 0)


def press(page: Page, name: str) -> None:
    dialog(page).get_by_role("button", name=name, exact=True).click()


def link_of_mail() -> str:
    link, *_ = re.findall(r"http://\S+", Outbox.objects.latest("pk").text)
    return link


def heading(page: Page, text: str) -> None:
    expect(page.locator("main h1")).to_have_text(text)


def row(page: Page, text: str):
    return page.locator("tbody tr").filter(has_text=text)


def invites(page: Page, role: str, *, javascript: bool) -> str:
    """Invite NEW; return the link of the mail."""
    page.goto(TENANT)
    follow(page, "Invite…", javascript=javascript)
    dialog(page).get_by_label("Email address").fill(NEW)
    dialog(page).get_by_label("Role").select_option(label=role)
    press(page, "Send invitation")
    expect_message(page, "The invitation is on its way.")
    expect(page.get_by_role("region", name="List of open invitations")).to_contain_text(NEW)
    return link_of_mail()


def accepts(page: Page, link: str) -> None:
    page.goto(link)
    heading(page, "Join Contoso")
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Password", exact=True).fill("1234567890")
    page.get_by_role("button", name="Join Contoso").click()
    expect(page.locator("#id_password_error")).to_contain_text("known from data that was stolen")
    expect(page.get_by_label("Your name")).to_have_value(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Join Contoso").click()
    heading(page, "Subscriptions")
    expect(page.locator("#messages")).to_contain_text("Welcome to Contoso.")


def may(page: Page, subscription: Subscription) -> set[str]:
    """Return which of these are offered on the pages."""
    page.goto(address(subscription))
    expect(page.locator("#keys-title")).to_be_visible()
    offered = {
        name
        for name in ("Download Primary", "Reset Primary", "Delete license keys")
        if page.get_by_role("link", name=name).count()
    }
    page.goto(TENANT)
    expect(page.locator("#members-title")).to_be_visible()
    return offered | {
        name for name in ("Invite", "Hand over") if page.get_by_role("link", name=name).count()
    }


SEES = {"Download Primary"}
MANAGES = SEES | {"Reset Primary", "Delete license keys"}
OWNS = MANAGES | {"Invite", "Hand over"}


@WITH_AND_WITHOUT
def test_invite_accept_and_act_in_each_role(
    javascript, open_page: Callable[..., Page], owner, contoso, signing_key
):
    subscription = make_subscription(tenant=contoso, name="Shop analytics")
    make_license(subscription=subscription)
    page = open_page(javascript=javascript, user=owner)
    colleague = open_page(javascript=javascript)
    accepts(colleague, invites(page, "Viewer", javascript=javascript))
    assert may(colleague, subscription) == SEES
    for label, expected in (("Manager", MANAGES), ("Owner", OWNS)):
        page.goto(TENANT)
        follow(page, f"Change role… of {NAME}", javascript=javascript)
        dialog(page).get_by_label("Role").select_option(label=label)
        press(page, "Save role")
        expect_message(page, f"The role of {NAME} was changed.")
        expect(row(page, NAME).locator(".badge").first).to_have_text(label)
        assert may(colleague, subscription) == expected
    # The new owner is in charge, and the old one is removed while signed in.
    colleague.goto(TENANT)
    follow(colleague, "Remove… Owner", javascript=javascript)
    press(colleague, "Remove member")
    expect_message(colleague, "Owner is no longer a member.")
    expect(row(colleague, "owner@contoso.example")).to_have_count(0)
    page.goto("/subscriptions/")
    heading(page, "You are not allowed to do this")
    colleague.goto(TENANT)
    expect(colleague.locator(".danger-zone")).to_contain_text(
        "You are the last owner: hand over first."
    )
    expect(colleague.get_by_role("link", name="Leave tenant…")).to_have_count(0)


@WITH_AND_WITHOUT
def test_a_tenant_is_renamed_and_handed_over(javascript, open_page, owner, manager, contoso):
    page = open_page(javascript=javascript, user=owner)
    page.goto(TENANT)
    follow(page, "Change…", javascript=javascript)
    dialog(page).get_by_label("Name").fill("Visit evil.example")
    press(page, "Save tenant")
    expect(page.locator("#id_name_error")).to_contain_text("no web or email address")
    dialog(page).get_by_label("Name").fill("Contoso Ltd")
    press(page, "Save tenant")
    expect_message(page, "The tenant was changed.")
    heading(page, "Contoso Ltd")
    follow(page, "Hand over ownership…", javascript=javascript)
    dialog(page).get_by_label("New owner").select_option(label="Manager (Manager)")
    press(page, "Hand over ownership")
    expect_message(page, "The ownership was handed over. You are a manager now.")
    expect(page.get_by_role("link", name="Invite…")).to_have_count(0)
    follow(page, "Leave tenant…", javascript=javascript)
    press(page, "Leave tenant")
    heading(page, "You are not allowed to do this")


def test_the_last_owner_hands_over_and_deletes_the_account(open_page, owner, manager, contoso):
    page = open_page(user=owner)
    page.goto("/profile/")
    page.get_by_role("link", name="Delete my account…").click()
    heading(page, "Delete my account")
    page.get_by_role("link", name="Hand over… Contoso").click()
    dialog(page).get_by_label("New owner").select_option(label="Manager (Manager)")
    press(page, "Hand over ownership")
    expect_message(page, "The ownership was handed over. You are a manager now.")
    page.goto("/profile/delete/")
    button = page.get_by_role("button", name="Delete my account")
    button.click()
    expect(page.locator("#id_confirmation_error")).to_contain_text("That does not match.")
    page.get_by_label("To confirm, type owner@contoso.example").fill("owner@contoso.example")
    button.click()
    heading(page, "Sign in")
    expect_message(page, "The account of owner@contoso.example was deleted.")
    assert [*contoso.members.all()] == [manager]
    assert contoso.memberships.get().role == Role.OWNER


@WITH_AND_WITHOUT
@pytest.mark.sweep
def test_a_link_into_another_tenant_leads_there(
    javascript, open_page, owner, contoso, fabrikam, signing_key
):
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.MANAGER)
    theirs = make_subscription(tenant=fabrikam, name="Werkzeugkette")
    page = open_page(javascript=javascript, user=owner)
    page.goto(address(theirs))
    heading(page, "This belongs to Fabrikam")
    page.locator("main").get_by_role("button", name="Switch to Fabrikam").click()
    heading(page, "Werkzeugkette")
    expect_message(page, "You are in Fabrikam now.")
    page.get_by_text("Tenant: Fabrikam").click()
    page.get_by_role("button", name="Switch to Contoso").click()
    heading(page, "Subscriptions")
    expect(page.locator(".page-head p")).to_have_text("Contoso")


@pytest.mark.sweep
def test_a_dialog_opened_from_a_page_of_before_the_switch(open_page, owner, fabrikam, stranger):
    """Two windows of one browser: what the older one shows is no longer the tenant one is in."""
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.OWNER)
    page = open_page(user=owner)
    page.goto(TENANT)
    follow(page, "Invite…", javascript=True)
    other = page.context.new_page()
    other.goto("/subscriptions/")
    other.get_by_text("Tenant: Contoso").click()
    other.get_by_role("button", name="Switch to Fabrikam").click()
    heading(other, "Subscriptions")
    dialog(page).get_by_label("Email address").fill(NEW)
    press(page, "Send invitation")
    heading(page, "Fabrikam")
    assert not Outbox.objects.exists()


@pytest.mark.sweep
def test_the_log_is_narrowed_with_and_without_scripts(open_page, owner, contoso, signing_key):
    make_subscription(tenant=contoso, name="Pending one", state=State.PENDING)
    for javascript in (True, False):
        page = open_page(javascript=javascript, user=owner)
        page.goto("/subscriptions/")
        page.get_by_role("link", name="Pending one").click()
        if javascript:
            page.get_by_role("button", name="Activate my Subscription").click()
            expect_message(
                page, "The subscription is active. You can generate its license keys now."
            )
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Logs").click()
        heading(page, "Logs")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_label("Action").select_option(label="Member invited")
        if not javascript:
            page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
        page.get_by_role("link", name="Show everything").click()
        page.locator("tbody").get_by_role("link", name="Owner").click()
        expect(page.get_by_label("Person")).to_have_value(str(owner.pk))
        expect(page.locator("tbody tr")).to_have_count(1)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as CSV").click()
        text = download.value.path().read_text("utf-8-sig")
        assert text.count("Subscription activated") == 1


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
def test_the_pages_of_people_are_for_everybody(
    open_page, live_portal, colours, width, owner, viewer, contoso, fabrikam, signing_key
):
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.OWNER)
    theirs = make_subscription(tenant=fabrikam)
    make_license(subscription=make_subscription(tenant=contoso, name="Shop analytics"))
    make_subscription(tenant=contoso, name="Without keys")
    page = open_page(colours=colours, width=width, user=owner)
    link = invites(page, "Owner", javascript=True)
    pages = [TENANT, "/identifiers/", "/logs/", "/logs/?person=x&since=x", address(theirs)]
    pages += [f"{TENANT}{name}/" for name in ("edit", "invite", "hand-over", "leave")]
    member = Member.objects.get(user=viewer, tenant=contoso)
    invitation = contoso.invitations.get()
    pages += [f"{TENANT}members/{member.pk}/{name}/" for name in ("role", "remove")]
    pages += [f"{TENANT}invitations/{invitation.pk}/{name}/" for name in ("resend", "revoke")]
    pages.append(link)
    for where in pages:
        page.goto(where)
        faultless(page, where)
    page.goto(TENANT)
    for opener in ("#invite", "#edit", "#hand-over", f"#role-{member.pk}"):
        page.locator(opener).click()
        expect(dialog(page)).to_be_visible()
        faultless(page, opener)
        page.keyboard.press("Escape")
    page.get_by_text("Tenant: Contoso").click()
    faultless(page, "tenant menu")
    page.goto(f"{TENANT}invite/")
    page.get_by_role("button", name="Send invitation").click()
    page.context.clear_cookies()
    page.goto(link)
    page.get_by_label("Your name").fill(" ")
    page.get_by_label("Password", exact=True).fill("1")
    page.get_by_role("button", name="Join Contoso").click()
    expect(page.locator(".error").first).to_be_visible()
    faultless(page, "join: refused")
    page.goto("/invitations/nothing/")
    faultless(page, "gone")
    empty = Tenant.objects.create(name="Empty", country="DEU")
    nobody = make_member(tenant=empty, role=Role.VIEWER, email="nobody@empty.example")
    sign_in_browser(page.context, nobody, live_portal.url)
    for where in (TENANT, "/identifiers/", "/logs/", link):
        page.goto(where)
        faultless(page, f"alone: {where}")


@pytest.mark.sweep
def test_no_name_is_too_long_for_a_page(open_page, owner, manager, contoso, fabrikam, signing_key):
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.OWNER)
    contoso.name = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunternehmen"
    contoso.save()
    manager.name = contoso.name
    manager.save()
    subscription = make_subscription(tenant=contoso, name=contoso.name)
    make_license(subscription=subscription)
    page = open_page(user=owner, width=320)
    pages = ["/subscriptions/", address(subscription), "/identifiers/", TENANT, "/logs/"]
    for where in [*pages, f"{TENANT}webhooks/", "/profile/"]:
        page.goto(where)
        assert (where, sideways_scroll(page)) == (where, 0)
        assert (where, wide_parts(page)) == (where, [])
    brand, menu = (page.locator(part).bounding_box() for part in (".brand", ".menu >> nth=1"))
    assert abs(brand["y"] - menu["y"]) < 8
    assert page.locator(".site-nav").bounding_box()["height"] < 40
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(TENANT)
    wide = page.locator(".table-scroll").evaluate("(e) => e.scrollWidth - e.clientWidth")
    assert (sideways_scroll(page), wide) == (0, 0)
