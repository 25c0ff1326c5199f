"""Operator actions in a browser: asked first, refused in words, answered row by row."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.utils import timezone
from playwright.sync_api import Page, expect

from licenses.models import LicenseKey, SigningKey
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.mail.models import Outbox
from portal.operators.flows import recovery
from portal.operators.models import Outcome, PendingChange
from portal.tenants.models import Role, Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member
from tests.support.admin_pages import address
from tests.support.appearance import looks
from tests.support.factories import make_license, make_subscription
from tests.support.operator_actions import TENANTS

pytestmark = pytest.mark.browser


def choose(page: Page, name: str, label: str) -> None:
    """Tick the row of this name on the list and choose what to do to it."""
    page.get_by_role("row", name=name).get_by_role("checkbox").check()
    page.get_by_role("button", name=f"{label}…", exact=True).click()


def confirm(page: Page, label: str) -> None:
    page.get_by_label("Reason").fill("Ticket 42")
    page.locator(".form-actions button", has_text=label).click()


def test_an_action_is_asked_refused_and_done(
    open_page: Callable[..., Page], operator: User, contoso: Tenant
) -> None:
    make_subscription(tenant=contoso, name="Field tools")
    make_subscription(tenant=contoso, name="Old tools", state=State.ENDED)
    page = open_page(user=operator)
    page.goto(address(Subscription, "changelist"))
    page.get_by_role("row", name="Old tools").get_by_role("checkbox").check()
    choose(page, "Field tools", "Suspend")
    expect(page.get_by_text("every check of their license keys is refused")).to_be_visible()
    expect(page.locator("#content")).to_contain_text("Possible for 1 of them, not for 1 (ended).")
    looks(page)
    page.get_by_role("button", name="Suspend subscription").click()
    expect(page.locator(".error")).to_have_text("Write why you do this.")
    assert not LogEntry.objects.exists()
    confirm(page, "Suspend")
    expect(page.locator(".notice[role=status]")).to_contain_text("Field tools is suspended.")
    looks(page)
    assert Subscription.objects.get(name="Field tools").state == State.SUSPENDED


@pytest.mark.parametrize(
    ("label", "before", "after"),
    [
        pytest.param("Activate", State.PENDING, State.ACTIVE, marks=pytest.mark.sweep),
        pytest.param("Resume", State.SUSPENDED, State.ACTIVE, marks=pytest.mark.sweep),
        ("End", State.ACTIVE, State.ENDED),
    ],
)
def test_states_change_without_scripts_too(
    open_page: Callable[..., Page], operator: User, label: str, before: State, after: State
) -> None:
    make_subscription(name="Field tools", state=before)
    page = open_page(user=operator, javascript=False)
    page.goto(address(Subscription, "changelist"))
    choose(page, "Field tools", label)
    confirm(page, label)
    expect(page.locator(".notice[role=status]")).to_contain_text("Field tools ")
    assert Subscription.objects.get().state == after


@pytest.mark.sweep
def test_plan_and_end_are_changed_from_the_page_of_a_subscription(
    open_page: Callable[..., Page], operator: User, owner: User, contoso: Tenant
) -> None:
    subscription = make_subscription(tenant=contoso, name="Field tools")
    page = open_page(user=operator)
    page.goto(address(Subscription, "change", subscription.pk))
    page.get_by_role("button", name="Change the plan…").click()
    plan = Plan.objects.get(code="enterprise-yearly")
    page.get_by_label("Plan").select_option(str(plan.pk))
    confirm(page, "Change the plan")
    expect(page.locator(".notice[role=status]")).to_contain_text(
        "has the plan Enterprise yearly now."
    )
    assert Outbox.objects.get().to == owner.email
    page.goto(address(Subscription, "changelist"))
    choose(page, "Field tools", "Set the end date")
    page.locator("#id_ends_at_0").fill("2020-01-01")
    page.locator("#id_ends_at_1").fill("00:00:00")
    confirm(page, "Set the end date")
    expect(page.locator(".notice[role=status]")).to_contain_text("must lie in the future")


@pytest.mark.sweep
def test_a_pasted_key_is_found_and_revoked(
    open_page: Callable[..., Page], operator: User, signing_key: SigningKey
) -> None:
    key = make_license().keys.first()
    page = open_page(user=operator)
    page.goto(address(LicenseKey, "changelist"))
    page.locator("#searchbar").fill(key.token)
    page.locator("#searchbar").press("Enter")
    expect(page).to_have_url(
        f"{page.url.partition('/admin/')[0]}{address(LicenseKey, 'changelist')}"
    )
    page.get_by_role("link", name="Find a license key").click()
    page.locator("textarea").fill(key.token)
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".notice")).to_contain_text("A terminal with this key starts.")
    page.get_by_role("link", name="Record").click()
    page.get_by_role("button", name="Revoke…").click()
    looks(page)
    confirm(page, "Revoke")
    expect(page.locator("#content")).to_contain_text("needs a reset")
    key.refresh_from_db()
    assert key.revoked_at is not None


@pytest.mark.sweep
def test_a_file_is_imported_after_its_dry_run(
    open_page: Callable[..., Page], operator: User, contoso: Tenant
) -> None:
    page = open_page(user=operator)
    page.goto(address(Tenant, "changelist"))
    page.get_by_role("link", name="Import CSV").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "tenants.csv", "mimeType": "text/csv", "buffer": TENANTS.encode()}
    )
    page.get_by_label("Reason").fill("Order 4711")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("row", name="Nowhere")).to_contain_text("XXX is not a country code")
    looks(page)
    assert Tenant.objects.count() == 1
    page.get_by_role("button", name="Import", exact=False).last.click()
    expect(page.get_by_role("row", name="Northwind")).to_contain_text("Added")
    assert Tenant.objects.count() == 3


def test_a_lost_factor_waits_a_day_and_is_stopped_from_the_mail(
    open_page: Callable[..., Page], operator: User, contoso: Tenant, live_portal: object
) -> None:
    jane = make_member(
        tenant=contoso, role=Role.OWNER, email="jane@contoso.example", two_factor=True
    )
    page = open_page(user=operator)
    page.goto(address(User, "change", jane.pk))
    page.get_by_role("button", name="Remove a lost second factor…").click()
    confirm(page, "Remove a lost second factor")
    expect(page.locator("#content")).to_contain_text("unless it is stopped")
    mail = Outbox.objects.get()
    link = next(line for line in mail.text.splitlines() if "/objections/" in line)
    other = open_page()
    other.goto(link)
    assert PendingChange.objects.get().outcome == Outcome.WAITING
    other.get_by_role("button", name="Stop the change").click()
    expect(other.get_by_text("Nothing was changed.")).to_be_visible()
    assert recovery.run_due(now=timezone.now() + timedelta(days=2)) == []
    assert Authenticator.objects.filter(user=jane).exists()
