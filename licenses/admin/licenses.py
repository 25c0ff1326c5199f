"""Admin of licenses and license keys, without the keys themselves.

Only flows create and change these rows. No private key and no token of a license key is read here.
"""

from functools import partial
from typing import Any, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licenses.admin.actions import REVOKE_KEY, REVOKE_LICENSE
from licenses.admin.finding import check_address, check_view, find_view
from licenses.admin.searching import customer_address
from licenses.checking.badges import badge_of, with_days
from licenses.checking.results import Result
from licenses.models import (
    CheckCount,
    License,
    LicenseKey,
    LicenseKeyQuerySet,
    StatusList,
)
from portal.operators.actions import ActionsAdmin
from portal.operators.lists import CountryFilter, choice_filter, empty_filter, word_filter
from portal.operators.model_admin import ReadOnlyAdmin, links, listing
from portal.operators.values import Shown, badge
from portal.web.large_forms import takes_large_form
from subscriptions.models import Subscription


class RevokingAdmin(ActionsAdmin, ReadOnlyAdmin):
    """Rows that can be revoked, but not edited."""

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may revoke license keys."""
        return request.user.has_perm("licenses.change_licensekey")


@admin.register(License)
class LicenseAdmin(RevokingAdmin):
    """Licenses, as they were when they were generated."""

    operator_actions = (REVOKE_LICENSE,)

    fields = (
        "id",
        "tenant",
        "subscription",
        "plan",
        "usage",
        "holder_name",
        "country",
        "authorized_application_id",
        "issuer",
        "tenant_audience",
        "authorized_party",
        "plan_urn",
        "days",
        "custom_claims",
        "created_at",
        "created_by_name",
        "deleted_at",
        "deleted_by_name",
        "belongings",
    )
    list_display = ("holder_name", "tenant", "subscription", "created_at", "deleted_at")
    below = {
        "holder_name": "authorized_application_id",
        "tenant": "usage",
        "subscription": "plan",
        "deleted_at": "deleted_by_name",
    }
    codes = ("plan_urn", "issuer", "tenant_audience", "authorized_party")
    folded = ("id", "issuer", "tenant_audience", "authorized_party", "plan_urn", "days")
    list_filter = (
        "usage",
        ("deleted_at", empty_filter("deleted", "Not deleted", "Deleted")),
        CountryFilter,
    )
    # Prefetched: with a join the database would sort all rows with all columns for each page.
    list_select_related = ()
    search_fields = (
        "holder_name",
        "tenant__name",
        "subscription__name",
        "subscription__beneficiary_email",
    )
    search_help_text = (
        "Holder's, tenant's or subscription's name, email address or domain of the beneficiary "
        "or a member, or whole identifier of the license, the authorized application, the "
        "subscription, the tenant or a license key (jti)"
    )
    identifiers = (
        "id",
        "authorized_application_id",
        "subscription_id",
        "tenant_id",
        "keys__jti",
    )
    emails = ("subscription__beneficiary_email", "tenant__memberships__user__email")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("tenant", "subscription", "plan")

    @override
    def log_filter(self, obj: License) -> dict[str, Any]:
        """Everything that happened to the license's subscription."""
        return {"tenant_id__exact": obj.tenant_id, "subscription_id__exact": obj.subscription_id}

    @admin.display(description="more about it")
    def belongings(self, obj: License) -> SafeString:
        """Return a link to the keys of the license."""
        return links(("License keys", listing("licenses_licensekey", license__id__exact=obj.pk)))


@admin.register(LicenseKey)
class LicenseKeyAdmin(RevokingAdmin):
    """Signed keys with their history, without the keys themselves."""

    operator_actions = (REVOKE_KEY,)

    fields = (
        "jti",
        "slot",
        "state_now",
        "tenant",
        "subscription",
        "license",
        "issued_at",
        "created_by_name",
        "expires_at",
        "accepted_until",
        "replaced_at",
        "revoked_at",
        "deleted_at",
        "last_downloaded_at",
        "signing_key",
        "status_entry",
        "token_sha256",
        "belongings",
    )
    list_display = ("subscription", "tenant", "slot", "state_now", "issued_at", "expires_at")
    below = {
        "subscription": "jti",
        "tenant": "holder",
        "state_now": "revoked_at",
        "issued_at": "last_downloaded_at",
        "expires_at": "accepted_until",
    }
    codes = ("token_sha256",)
    folded = ("signing_key", "status_entry", "token_sha256")
    list_filter = (
        "state",
        "slot",
        ("revoked_at", empty_filter("revoked", "Not revoked", "Revoked")),
        word_filter("expiry", "expiring", "Within 30 days", LicenseKeyQuerySet.expiring),
        word_filter("download", "downloaded", "Never", LicenseKeyQuerySet.never_downloaded),
        word_filter("check", "checked", "Never", LicenseKeyQuerySet.never_checked),
        "signing_key",
        CountryFilter,
    )
    list_select_related = ("tenant", "license__subscription__plan")
    search_fields = (
        "license__holder_name",
        "tenant__name",
        "license__subscription__name",
        "license__subscription__beneficiary_email",
        "token_sha256__startswith",
    )
    search_help_text = (
        "jti, key id of the signing key, holder's, tenant's or subscription's name, email address "
        "or domain of the beneficiary or a member, SHA-256 of the key, or whole identifier of the "
        "license, the authorized application, the subscription or the tenant"
    )
    ordering = ("-id",)
    identifiers = (
        "jti",
        "license_id",
        "license__authorized_application_id",
        "license__subscription_id",
        "tenant_id",
    )
    key_ids = ("signing_key__kid",)
    emails = (
        "license__subscription__beneficiary_email",
        "tenant__memberships__user__email",
    )
    secrets = ("token",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the signing key too, which the state depends on."""
        rows = super().get_queryset(request)
        assert isinstance(rows, LicenseKeyQuerySet)
        return rows.with_signing_key()

    @override
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(takes_large_form(partial(find_view, self)))
        find = path("find/", view, name="licenses_licensekey_find")
        check = self.admin_site.admin_view(partial(check_view, self))
        hears = path("<path:object_id>/check/", check, name="licenses_licensekey_check")
        return [find, hears, *super().get_urls()]

    @override
    def other_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Link to the page that finds a pasted key."""
        find = ("Find a license key", reverse("admin:licenses_licensekey_find"))
        return [find, *super().other_links(request)]

    @override
    def log_filter(self, obj: LicenseKey) -> dict[str, Any]:
        """What happened to the subscription, in this slot."""
        return {
            "tenant_id__exact": obj.tenant_id,
            "subscription_id__exact": obj.license.subscription_id,
            "slot__exact": obj.slot,
        }

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what did not happen to the key."""
        return [name for name in self.fields if obj is None or getattr(obj, name, True)]

    @admin.display(description="state", ordering="state")
    def state_now(self, obj: LicenseKey) -> Shown:
        """Return the badge that members see, or the stored state of a key that is over."""
        now = timezone.now()
        if obj.revoked_at is None and not obj.is_in_use(now):
            return badge(obj.get_state_display(), "muted")
        shown = with_days(badge_of(obj, obj.license.subscription, now), obj.expires_at, now)
        return badge(shown.label, shown.tone)

    @admin.display(description="subscription")
    def subscription(self, obj: LicenseKey) -> Subscription:
        """Return what the key was issued for."""
        return obj.license.subscription

    @admin.display(description="holder's name", ordering="license__holder_name")
    def holder(self, obj: LicenseKey) -> str:
        """Return the name in the key's audience, where it is not the tenant's."""
        name = obj.license.holder_name
        return "" if name == obj.tenant.name else name

    @admin.display(description="status list")
    def status_entry(self, obj: LicenseKey) -> str:
        """Return where the key's bit is published."""
        return f"{obj.status_list}, entry {obj.status_index}"

    @admin.display(description="more about it")
    def belongings(self, obj: LicenseKey) -> SafeString:
        """Return links to what a terminal hears, the customer and the checks of the key."""
        return links(
            ("What a terminal hears", check_address(obj)),
            ("Everything of the customer", customer_address(obj.tenant_id)),
            ("Checks", listing("licenses_checkcount", license_key__id__exact=obj.pk)),
        )


@admin.register(StatusList)
class StatusListAdmin(ReadOnlyAdmin):
    """Status lists, without the seed of their decoys, which would reveal the real entries."""

    fields = ("number", "size", "created_at")
    list_display = ("number", "size", "created_at")
    has_history = False
    intro = (
        "The lists that the portal publishes: each license key has one entry, whose bit says "
        "whether it was revoked. A list has room for as many keys as its size says."
    )
    secrets = ("decoy_seed",)


@admin.register(CheckCount)
class CheckCountAdmin(ReadOnlyAdmin):
    """Checks by terminals, by key, hour and result."""

    fields = ("hour", "outcome", "count", "last_at", "tenant", "subscription", "license_key")
    list_display = ("hour", "subscription", "slot", "outcome", "checks")
    below = {"subscription": "tenant", "checks": "last_at"}
    clocks = ("hour",)
    has_history = False
    intro = "One row for each license key, hour and result: what terminals heard, and how often."
    list_filter = (choice_filter("result", "result", Result),)
    list_select_related = ("tenant", "license_key__license__subscription")
    search_fields = ("tenant__name",)
    search_help_text = "Tenant's name, or whole jti or identifier of the tenant"
    ordering = ("-hour", "-id")
    identifiers = ("license_key__jti", "tenant_id")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("license_key__token")

    @admin.display(description="result", ordering="result")
    def outcome(self, obj: CheckCount) -> Shown:
        """Return the result in words, in exports the word of the contract."""
        result = Result(obj.result)
        return Shown(result, badge(result.label, "good" if result.passes else "bad").html)

    @admin.display(description="license key", ordering="license_key__slot")
    def slot(self, obj: CheckCount) -> Shown:
        """Return the slot, which leads to what a terminal hears now; in exports the jti."""
        key = obj.license_key
        shown = format_html('<a href="{}">{} key</a>', check_address(key), key.get_slot_display())
        return Shown(str(key.jti), shown)

    @admin.display(description="checks", ordering="count")
    def checks(self, obj: CheckCount) -> Shown:
        """Return how many there were; the list says when the last one was."""
        times = f"{obj.count:,} check{'' if obj.count == 1 else 's'}"
        return Shown(str(obj.count), format_html("{}", times))

    @admin.display(description="subscription")
    def subscription(self, obj: CheckCount) -> Subscription:
        """Return what the checked key was issued for."""
        return obj.license_key.license.subscription
