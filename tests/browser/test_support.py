"""Support on the phone: from a person's name to a suspended subscription, and back."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.accounts.models import User
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription
from tests.support.appearance import looks
from tests.support.browser import sideways_scroll
from tests.support.factories import make_license, make_subscription

pytestmark = pytest.mark.browser


def test_a_subscription_is_suspended_while_the_customer_is_on_the_phone(
    open_page: Callable[..., Page],
    operator: User,
    owner: User,
    contoso: Tenant,
) -> None:
    """In six clicks."""
    make_license(subscription=make_subscription(tenant=contoso, name="Shop analytics"))
    page = open_page(user=operator, javascript=False, width=390)
    page.goto("/admin/")
    assert sideways_scroll(page) == 0
    page.get_by_label("Search everything").fill(owner.email)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Customer: Contoso").click()
    assert sideways_scroll(page) == 0
    line = page.get_by_role("listitem").filter(has=page.get_by_text("Shop analytics", exact=True))
    expect(line.first).to_contain_text("Active")
    page.get_by_text("Actions on Shop analytics").click()
    actions = page.get_by_role("group", name="Actions on Shop analytics")
    actions.get_by_role("button", name="Suspend…").click()
    page.get_by_label("Reason").fill("Invoice 7 is overdue")
    page.get_by_role("button", name="Suspend subscription").click()
    page.get_by_role("link", name="Back to Contoso").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Contoso")
    expect(page.get_by_text("Invoice 7 is overdue").first).to_be_visible()
    assert sideways_scroll(page) == 0
    assert Subscription.objects.get().state == State.SUSPENDED


@pytest.mark.sweep
def test_the_pages_of_support_look_right(
    open_page: Callable[..., Page], operator: User, owner: User, contoso: Tenant
) -> None:
    license = make_license(subscription=make_subscription(tenant=contoso))
    key = license.keys.get(slot="primary")
    page = open_page(user=operator, width=390)
    for address in (
        f"/admin/portal/tenant/{contoso.pk}/customer/",
        f"/admin/licenses/licensekey/{key.pk}/check/",
        "/admin/search/?q=contoso",
        "/admin/search/?q=nobody",
    ):
        page.goto(address)
        assert sideways_scroll(page) == 0
        looks(page)
