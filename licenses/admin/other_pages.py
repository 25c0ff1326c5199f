"""What license keys add to the admin's start page and its pages of tenants and subscriptions."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from licenses.admin.customer import customer_view
from licenses.admin.effects import LeadsToCustomers, mailed, stopped
from licenses.admin.finding import check_address
from licenses.admin.health import keys_health, tenant_health
from licenses.admin.searching import customer_address, search_view
from licenses.admin.troubles import troubles, why_stopped
from licenses.checking.badges import badge_in_list, badge_of, with_days
from licenses.figures.charts import start_page
from licenses.models import LicensedSubscriptions, LicenseKey
from portal.accounts.requests import actor_of
from portal.operators.actions import OperatorAction
from portal.operators.admin import InvitationAdmin, TenantAdmin
from portal.operators.lists import words_filter
from portal.operators.model_admin import links
from portal.operators.site import OperatorSite
from portal.operators.values import Shown, badge
from portal.tenants.models import Invitation, Tenant, Topic
from portal.web.tags import moment
from subscriptions.admin import SubscriptionAdmin
from subscriptions.models import State, Subscription

OperatorSite.start_page = staticmethod(start_page)
OperatorSite.search_page = staticmethod(search_view)

MAILED = {"resume", "extend", "change_plan"}
"""The actions on subscriptions that stop no terminal, and that a mail tells of."""

admin.site.unregister([Tenant, Subscription, Invitation])


@admin.register(Tenant)
class LicensedTenantAdmin(LeadsToCustomers, TenantAdmin):
    """Tenants, with search and links by what was issued to them."""

    list_display = ("name", "country_code", "active", "health")
    below = {
        "name": "id",
        "country_code": "created_at",
        "active": "all_of_them",
        "health": "second_factor",
    }
    identifiers = (
        *TenantAdmin.identifiers,
        "subscriptions__id",
        "licenses__authorized_application_id",
        "license_keys__jti",
    )
    search_help_text = (
        "Name, a member's email address or its domain, or whole identifier of the tenant, a "
        "subscription, an authorized application or a license key (jti)"
    )
    belonging_lists = (
        ("Subscriptions", "subscriptions_subscription"),
        ("Licenses", "licenses_license"),
        ("License keys", "licenses_licensekey"),
    )

    @override
    def get_urls(self) -> list[Any]:
        """Add the page that shows everything of a customer."""
        view = self.admin_site.admin_view(partial(customer_view, self))
        route = path("<path:object_id>/customer/", view, name="portal_tenant_customer")
        return [route, *super().get_urls()]

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add how the tenant's subscriptions and keys are; the database does it for shown rows."""
        return super().get_queryset(request).annotate(**tenant_health(timezone.now()))

    @admin.display(description="active subscriptions", ordering="active_subscriptions")
    def active(self, obj: Any) -> Shown:
        """Return how many subscriptions are active."""
        count = obj.active_subscriptions or 0
        return Shown(str(count), format_html("{} active", count))

    @admin.display(description="all subscriptions")
    def all_of_them(self, obj: Any) -> str:
        """Return how many subscriptions there are, of any state."""
        return f"of {obj.all_subscriptions or 0}"

    @admin.display(description="requires two factor")
    def second_factor(self, obj: Tenant) -> Shown:
        """Return whether members need a second factor: in exports the word that imports take."""
        words = "Second factor required" if obj.requires_two_factor else ""
        return Shown(str(obj.requires_two_factor), format_html("{}", words))

    @admin.display(description="health")
    def health(self, obj: Any) -> Shown:
        """Return what most needs attention."""
        if obj.closed_at:
            return badge("Closed", "muted")
        if obj.closes_at:
            return badge("Closes", "warn")
        if obj.has_lapsed_keys:
            return badge("Keys expired", "bad")
        if obj.refused:
            return badge(f"{obj.refused:,} refused in 24 hours", "warn")
        if obj.has_dying_keys:
            return badge("Keys expire this week", "warn")
        return (
            badge("Good", "good") if obj.active_subscriptions else badge("Nothing active", "muted")
        )

    @override
    @admin.display(description="more about it")
    def belongings(self, obj: Tenant) -> SafeString:
        """Lead first to the page that shows everything of the customer."""
        customer = links(("Everything on one page", customer_address(obj.pk)))
        return format_html("{} · {}", customer, super().belongings(obj))


@admin.register(Invitation)
class LeadingInvitationAdmin(LeadsToCustomers, InvitationAdmin):
    """Invitations, whose actions lead back to the customer."""


@admin.register(Subscription)
class LicensedSubscriptionAdmin(LeadsToCustomers, SubscriptionAdmin):
    """Subscriptions, with search, filters and links by their license keys."""

    list_display = ("name", "tenant", "state_now", "keys", "ends_at")
    below = {**SubscriptionAdmin.below, "keys": "keys_expire"}
    list_filter = (
        SubscriptionAdmin.list_filter[0],
        words_filter(
            "license keys",
            "keys",
            {
                "expiring": ("Expire in 30 days", LicensedSubscriptions.expiring),
                "expired": ("Expired", lambda rows: rows.expired(timezone.now())),
                "not_downloaded": ("Never downloaded", LicensedSubscriptions.never_downloaded),
                "not_checked": ("Never checked", LicensedSubscriptions.never_checked),
                "none": ("None", LicensedSubscriptions.unlicensed),
            },
        ),
        *SubscriptionAdmin.list_filter[1:],
    )
    identifiers = (
        *SubscriptionAdmin.identifiers,
        "licenses__authorized_application_id",
        "licenses__keys__jti",
    )
    search_help_text = (
        "Name, tenant's name, email address or domain of the beneficiary or a member, or whole "
        "identifier of the subscription, the tenant, the beneficiary, an authorized application "
        "or a license key (jti)"
    )
    belonging_lists = (("Licenses", "licenses_license"),)
    fields = (SubscriptionAdmin.fields[0], "need", "license_keys", *SubscriptionAdmin.fields[1:])
    fixed = (*SubscriptionAdmin.fixed, "need", "license_keys")

    @override
    def effects(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        """Say how many terminals an action stops, and who gets a mail."""
        keys = LicenseKey.objects.filter(license__subscription__in=rows)
        stops = [stopped(keys)] if action.is_dangerous else []
        return [*stops, *super().effects(request, action, rows)]

    @override
    def mails(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        if not action.is_dangerous and action.name not in MAILED:
            return []
        return [mailed(rows, Topic.SUBSCRIPTION, actor_of(request))]

    @admin.display(description="license keys")
    def keys(self, obj: Any) -> Shown | None:
        """Return the badge that members see in their list."""
        if obj.effective_state == State.ENDED:
            return None
        shown = badge_in_list(obj, timezone.now())
        return badge(shown.label, shown.tone) if shown else badge("None", "muted")

    @admin.display(description="first one expires")
    def keys_expire(self, obj: Any) -> datetime | None:
        """Return when the first of the present keys expires."""
        expires_at: datetime | None = obj.keys_expire_at
        return expires_at

    @admin.display(description="what it needs")
    def need(self, obj: Subscription) -> SafeString | str:
        """Return what is wrong or comes next, each with the page of the customer to see to it."""
        now = timezone.now()
        state, keys = obj.state_at(now), _in_use(obj, now)
        told = [f"{n.kind}: {n.about}" for n in troubles(obj, why_stopped(obj, now), keys, now)]
        if state == State.PENDING:
            told.append("Its activation, by an owner or manager, or here.")
        elif state == State.ACTIVE and not keys:
            told.append("License keys, which an owner or manager generates.")
        if not told:
            return ""
        lines = format_html_join(mark_safe("<br>"), "{}", ((sentence,) for sentence in told))
        return format_html('{}<br><a href="{}">Go to {}</a>', lines, _place(obj), obj.tenant)

    @admin.display(description="license keys")
    def license_keys(self, obj: Subscription) -> SafeString | str:
        """Return the keys that a terminal may use, each with its state and what it hears."""
        now = timezone.now()
        lines = ((_key(key, obj, now),) for key in _in_use(obj, now))
        return format_html_join(mark_safe("<br>"), "{}", lines) or "None"

    @override
    @admin.display(description="more about it")
    def belongings(self, obj: Subscription) -> SafeString:
        """Lead first to the page that shows everything of the customer."""
        customer = links(("Everything of the customer", _place(obj)))
        return format_html("{} · {}", customer, super().belongings(obj))

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add how the license keys are; the database does it for shown rows."""
        return self.shown(LicensedSubscriptions(Subscription)).annotate(**keys_health())


def _place(subscription: Subscription) -> str:
    """Return where the subscription stands on the page of its customer."""
    return f"{customer_address(subscription.tenant_id)}#subscription-{subscription.pk}"


def _in_use(subscription: Subscription, now: datetime) -> list[LicenseKey]:
    keys = LicenseKey.objects.filter(license__subscription=subscription).defer("token")
    in_order = keys.with_signing_key().order_by("slot", "-issued_at")
    return [key for key in in_order if key.is_in_use(now)]


def _key(key: LicenseKey, subscription: Subscription, now: datetime) -> SafeString:
    state = with_days(badge_of(key, subscription, now), key.expires_at, now)
    return format_html(
        '<a href="{}">{}</a> {} expires {}',
        check_address(key),
        key.get_slot_display(),
        badge(state.label, state.tone).html,
        moment(key.expires_at),
    )
