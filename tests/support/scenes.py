"""What the pages show: subscriptions in every state, and the parts of a page to look for."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from licenses import keys
from licenses.models import KeyState, LicenseKey, Slot
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import make_key, make_license, make_subscription


def address(subscription: Subscription, name: str = "", *slot: str) -> str:
    """Return the address of the subscription's page, or of one of the pages below it."""
    if name in {"", "rename"}:
        return reverse(f"subscriptions:{name or 'detail'}", args=[subscription.pk])
    return reverse(f"licenses:{name}", args=[subscription.pk, *slot])


def dialog(page: Page) -> Locator:
    """Return what a dialog holds; without JavaScript it is the content of a page of its own."""
    return page.locator(".dialog-body")


def expect_message(page: Page, sentence: str) -> None:
    """Expect exactly this one message on the page."""
    expect(page.locator("#messages .notice p")).to_have_text([sentence])


def current(subscription: Subscription, slot: str = "primary") -> LicenseKey:
    """Return the current key of the slot."""
    return LicenseKey.objects.current().get(license__subscription=subscription, slot=slot)


def every_state(tenant: Tenant) -> dict[str, Subscription]:
    """Return new subscriptions of the tenant, by what is special about each."""
    now = timezone.now()
    keys.ensure_active(now=now - timedelta(days=200))

    def made(name: str, plan: str = "smb-yearly", **fields: object) -> Subscription:
        return make_subscription(tenant=tenant, name=name, plan=plan, **fields)

    made_ones = {
        "without keys": made("Release automation"),
        "pending": made("Partner toolkit", "isvu-monthly", state=State.PENDING),
        "valid": made("Shop analytics", "enterprise-yearly"),
        "overlap": made("Field tools"),
        "expires soon": made("Warehouse scanners", "smb-monthly"),
        "expired": made("Student lab", "community"),
        "revoked": made("Kiosk fleet"),
        "other plan": made("Data pipeline", "micro-yearly"),
        "suspended": made("Build farm", state=State.SUSPENDED),
        "ended": made("Old website", state=State.ENDED, ends_at=now - timedelta(days=2)),
        "ended without keys": made("Trial", state=State.ENDED, ends_at=now - timedelta(days=9)),
    }
    days = {"overlap": 20, "expires soon": 27, "expired": 100}
    for name in list(made_ones):
        if "keys" not in name and name != "pending":
            issued_at = now - timedelta(days=days.get(name, 0))
            make_license(subscription=made_ones[name], holder_name=tenant.name, issued_at=issued_at)
    overlapping = current(made_ones["overlap"])
    make_key(
        license=overlapping.license,
        slot=Slot.PRIMARY,
        state=KeyState.SUPERSEDED,
        issued_at=now - timedelta(days=30),
        accepted_until=now + timedelta(hours=20),
    )
    LicenseKey.objects.filter(pk=current(made_ones["revoked"]).pk).update(revoked_at=now)
    changed = made_ones["other plan"]
    changed.plan = Plan.objects.get(code="enterprise-yearly")
    changed.save(update_fields=["plan"])
    return made_ones
