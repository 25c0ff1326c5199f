"""Accounts in a real browser: sign up to the first license, passkeys, codes, identity providers."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator as Factor
from django.conf import settings
from playwright.sync_api import Page, expect

from licenses.models import License
from portal.accounts.models import User
from portal.tenants.models import Member
from tests.support import database
from tests.support.accounts import PASSWORD, stale
from tests.support.appearance import WIDE_LIGHT_AND_NARROW_DARK, WITH_AND_WITHOUT, faultless
from tests.support.browser import sign_in_browser
from tests.support.mails import mailed_links
from tests.support.oidc import IdentityServer
from tests.support.passkeys import Authenticator
from tests.support.scenes import dialog
from tests.support.second_factor import totp_code
from tests.support.server import LivePortal

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def new() -> str:
    """An address of nobody, each time another: the live server remembers whom it wrote to."""
    return f"ada-{uuid4().hex[:8]}@lovelace.example"


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def signs_in(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    press(page, "Sign in")


def logs_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    heading(page, "Sign in")


@WITH_AND_WITHOUT
def test_from_sign_up_to_the_first_license(javascript, open_page, new, signing_key):
    page = open_page(javascript=javascript)
    page.goto("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email address").fill(new)
    press(page, "Send the link")
    heading(page, "Check your email")
    assert not User.objects.exists()
    page.goto(mailed_links("/signup/")[-1])
    heading(page, "Complete your account")
    assert urlsplit(page.url).path == "/accounts/signup/complete/"
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Name of your organization").fill("Engines")
    page.get_by_label("Country").select_option(label="United Kingdom")
    press(page, "Create account")
    heading(page, "Subscriptions")
    press(page, "Start community subscription")
    page.goto("/subscriptions/")
    page.get_by_role("link", name="Generate license keys…").click()
    dialog(page).get_by_role("radio", name="Educational").check()
    press(page, "Generate license keys")
    downloads = page.get_by_role("link", name=re.compile("^Download (the primary file|Primary)$"))
    expect(downloads).to_be_visible()
    license = License.objects.get()
    assert (license.tenant.name, license.holder_name) == ("Engines", "Engines")
    assert Member.objects.get().user.email == new


def test_a_passkey_is_added_signs_in_and_proves(open_page, owner, live_portal):
    page = open_page()
    device = Authenticator(page)
    signs_in(page, owner)
    page.goto("/profile/")
    page.get_by_role("link", name="Manage passkeys").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Laptop")
    press(page, "Add passkey")
    heading(page, "Recovery codes")
    assert device.credentials() == 1
    logs_out(page)
    press(page, "Sign in with a passkey")
    heading(page, "Subscriptions")

    # A stale session of somebody without password proves with the passkey.
    owner.set_unusable_password()
    owner.save()
    page.context.clear_cookies()
    sign_in_browser(page.context, owner, live_portal.url, at=stale())
    page.goto("/accounts/email/")
    heading(page, "Confirm that it is you")
    page.get_by_role("link", name="Use a security key").click()
    press(page, "Use a passkey or security key")
    heading(page, "Email address")

    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Remove… Laptop").click()
    press(page, "Remove passkey")
    expect(page.get_by_text("No passkeys yet")).to_be_visible()
    assert not Factor.objects.exists()


def test_the_email_field_suggests_passkeys(open_page, owner):
    page = open_page()
    device = Authenticator(page, suggests=True)
    signs_in(page, owner)
    page.goto("/accounts/2fa/webauthn/add/")
    press(page, "Add passkey")
    heading(page, "Recovery codes")
    assert device.credentials() == 1
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    heading(page, "Subscriptions")  # by way of the sign-in page, without a click


@pytest.mark.sweep
def test_the_button_asks_alone_while_passkeys_are_suggested(open_page, owner):
    page = open_page()
    device = Authenticator(page, suggests=True)
    signs_in(page, owner)
    page.goto("/accounts/2fa/webauthn/add/")
    press(page, "Add passkey")
    heading(page, "Recovery codes")
    device.touched(by_itself=False)
    with page.expect_response(re.compile("/2fa/webauthn/login/")):
        logs_out(page)
    page.wait_for_timeout(300)  # the suggestion is pending
    device.touched(by_itself=True)
    heading(page, "Sign in")
    press(page, "Sign in with a passkey")
    heading(page, "Subscriptions")


@pytest.mark.sweep
def test_a_device_that_does_not_know_the_person_signs_nobody_in(open_page, owner):
    page = open_page()
    device = Authenticator(page)
    signs_in(page, owner)
    page.goto("/accounts/2fa/webauthn/add/")
    press(page, "Add passkey")
    heading(page, "Recovery codes")
    logs_out(page)
    device.recognises(owner=False)
    press(page, "Sign in with a passkey")
    page.wait_for_timeout(500)
    heading(page, "Sign in")


@WITH_AND_WITHOUT
def test_an_authenticator_app_is_set_up_and_asked_for(javascript, open_page, owner, new):
    page = open_page(javascript=javascript)
    signs_in(page, owner)
    page.goto("/accounts/2fa/")
    page.get_by_role("link", name="Set up authenticator app").click()
    secret = page.locator("dl.ids code").inner_text()
    page.get_by_label("Authenticator code").fill("000000")
    press(page, "Activate authenticator app")
    expect(page.locator(".error")).to_contain_text("Incorrect code")
    page.get_by_label("Authenticator code").fill(totp_code(secret))
    press(page, "Activate authenticator app")
    heading(page, "Recovery codes")
    recovery = page.get_by_label("Unused codes").input_value().split()[0]
    logs_out(page)

    signs_in(page, owner)
    heading(page, "Second step of sign-in")
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Sign in", exact=True).click()
    heading(page, "Subscriptions")
    logs_out(page)
    signs_in(page, owner)
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator(".error")).to_contain_text("Incorrect code")


@WITH_AND_WITHOUT
def test_a_tenant_that_requires_two_factor_leads_to_it_and_then_opens(
    javascript, open_page, live_portal, owner, contoso
):
    contoso.requires_two_factor = True
    contoso.save()
    page = open_page(javascript=javascript)
    signs_in(page, owner)
    heading(page, "Two-factor authentication")
    expect(page.locator("#messages")).to_contain_text("Contoso requires a second factor.")
    page.get_by_role("link", name="Set up authenticator app").click()
    page.get_by_label("Authenticator code").fill(
        totp_code(page.locator("dl.ids code").inner_text())
    )
    press(page, "Activate authenticator app")
    page.goto("/")
    heading(page, "Subscriptions")


@WITH_AND_WITHOUT
@pytest.mark.sweep
def test_a_change_of_address(javascript, open_page, owner, new):
    page = open_page(javascript=javascript)
    signs_in(page, owner)
    page.goto("/profile/")
    page.get_by_role("link", name="Change the address").click()
    page.get_by_label("New address").fill(new)
    press(page, "Change the email address")
    expect(page.get_by_text("Waiting for your confirmation")).to_be_visible()
    page.goto(mailed_links("/confirm-email/")[-1])
    heading(page, "Confirm your email address")
    assert not EmailAddress.objects.get(email=new).verified
    press(page, "Confirm the email address")
    owner.refresh_from_db()
    assert owner.email == new


@pytest.fixture
def provider() -> Iterator[IdentityServer]:
    with IdentityServer() as server:
        yield server


@pytest.fixture
def connected_portal(
    transactional_db: None, static_files: None, provider: IdentityServer
) -> Iterator[LivePortal]:
    """A portal process that knows the provider, by its environment alone."""
    portal = LivePortal(
        folder=settings.DATA_DIR, database_url=database.url(), **provider.as_environment
    )
    portal.start()
    yield portal
    portal.stop()


@WITH_AND_WITHOUT
@pytest.mark.sweep
def test_an_identity_provider_signs_in_and_proves(
    javascript, open_page, connected_portal, provider, watch, owner
):
    watch.allow(f"foreign host: {re.escape(provider.issuer)}")
    watch.allow(f"foreign host: {re.escape(connected_portal.url)}")
    page = open_page(javascript=javascript, base_url=connected_portal.url)
    signs_in(page, owner)
    page.goto("/profile/")
    page.get_by_role("link", name="Manage providers").click()
    press(page, "Connect Company")
    heading(page, "Identity providers")
    expect(page.get_by_role("radio")).to_have_count(1)
    logs_out(page)
    press(page, "Continue with Company")
    heading(page, "Subscriptions")

    owner.set_unusable_password()
    owner.save()
    page.context.clear_cookies()
    sign_in_browser(page.context, owner, connected_portal.url, at=stale())
    page.goto("/accounts/email/")
    heading(page, "Confirm that it is you")
    press(page, "Confirm at Company")
    heading(page, "Email address")


@pytest.mark.sweep
@WIDE_LIGHT_AND_NARROW_DARK
def test_the_account_pages_are_for_everybody(
    open_page, live_portal, owner, new, colours, width, signing_key
):
    page = open_page(colours=colours, width=width)
    for where in ("/accounts/signup/", "/accounts/signup/no-such-link/", "/accounts/login/"):
        page.goto(where)
        faultless(page, where)
    page.goto("/accounts/signup/")
    page.get_by_label("Email address").fill(new)
    press(page, "Send the link")
    faultless(page, "sent")
    page.goto(mailed_links("/signup/")[-1])
    faultless(page, "complete")
    page.get_by_label("Password").fill("short")
    page.locator("form").evaluate("form => form.noValidate = true")
    press(page, "Create account")
    faultless(page, "complete: refused")
    page.goto("/accounts/confirm-email/none/")
    faultless(page, "gone link")
    page.goto("/accounts/password/reset/key/1-none/")
    faultless(page, "gone reset")

    Authenticator(page)
    sign_in_browser(page.context, owner, live_portal.url)
    page.goto("/accounts/reauthenticate/")
    assert urlsplit(page.url).path == "/accounts/reauthenticate/"
    faultless(page, "password again")
    page.goto("/accounts/2fa/webauthn/add/")
    faultless(page, "add passkey")
    press(page, "Add passkey")
    heading(page, "Recovery codes")
    faultless(page, "recovery codes")
    for where in (
        "/profile/",
        "/profile/export/",
        "/profile/delete/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/webauthn/",
        "/accounts/2fa/webauthn/add-security-key/",
        "/accounts/2fa/recovery-codes/generate/",
        "/accounts/sessions/",
        "/accounts/3rdparty/",
        "/accounts/2fa/reauthenticate/",
        "/accounts/2fa/webauthn/reauthenticate/",
    ):
        page.goto(where)
        assert urlsplit(page.url).path == where
        faultless(page, where)
    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name=re.compile("^Remove")).click()
    faultless(page, "remove passkey")
    page.goto("/accounts/2fa/totp/activate/")
    secret = page.locator("dl.ids code").inner_text()
    page.get_by_label("Authenticator code").fill(totp_code(secret))
    press(page, "Activate authenticator app")
    page.goto("/accounts/2fa/totp/deactivate/")
    faultless(page, "remove app")
    page.goto("/accounts/email/")
    page.get_by_label("New address").fill(new)
    press(page, "Change the email address")
    expect(page.get_by_text("Waiting for your confirmation")).to_be_visible()
    faultless(page, "waiting for the new address")
    link = mailed_links("/confirm-email/")[-1]
    page.goto(link)
    faultless(page, "confirm address")
    page.context.clear_cookies()
    signs_in(page, owner)
    heading(page, "Second step of sign-in")
    faultless(page, "second step")
