"""Admin of licenses and license keys, without the keys themselves.

Only flows create and change these rows. No private key and no token of a license key is read here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, override

from django.contrib import admin
from django.db.models import (
    DateTimeField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licenses.admin.actions import REVOKE_KEY, REVOKE_LICENSE
from licenses.admin.effects import LeadsToCustomers, mailed, stopped
from licenses.admin.finding import check_address, check_view, find_view
from licenses.admin.health import badge_of_any
from licenses.admin.searching import customer_address
from licenses.checking.results import Result
from licenses.checking.use import read_use
from licenses.figures.snapshot import KEY_STATES, NOT_DELETED
from licenses.models import (
    CheckCount,
    KeyState,
    License,
    LicenseKey,
    LicenseKeyQuerySet,
    SigningKeyState,
    StatusList,
)
from portal.accounts.requests import actor_of
from portal.core.dates import day
from portal.operators.actions import OperatorAction
from portal.operators.lists import CountryFilter, choice_filter, empty_filter, words_filter
from portal.operators.model_admin import ReadOnlyAdmin, links, listing
from portal.operators.values import Shown, badge
from portal.tenants.models import Topic
from portal.web.large_forms import takes_large_form
from portal.web.tags import moment
from subscriptions.models import Subscription


class RevokingAdmin(LeadsToCustomers, ReadOnlyAdmin):
    """Rows that can be revoked, but not edited."""

    @override
    def effects(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        """Say how many terminals a revocation stops, and who gets a mail."""
        owned = {"license__in": rows} if self.model is License else {"pk__in": [r.pk for r in rows]}
        keys = LicenseKey.objects.filter(**owned)
        return [stopped(keys), *super().effects(request, action, rows)]

    @override
    def mails(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        return [mailed(rows, Topic.KEYS, actor_of(request))]

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may revoke license keys."""
        return request.user.has_perm("licenses.change_licensekey")


@admin.register(License)
class LicenseAdmin(RevokingAdmin):
    """Licenses, as they were when they were generated."""

    operator_actions = (REVOKE_LICENSE,)

    fields = (
        "tenant",
        "subscription",
        "holder_name",
        "plan",
        "usage",
        "country",
        "created_at",
        "created_by_name",
        "deleted_at",
        "deleted_by_name",
        "custom_claims",
        "authorized_application_id",
        "belongings",
        "id",
        "issuer",
        "tenant_audience",
        "authorized_party",
        "plan_urn",
        "days",
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


KEPT = Q(revoked_at=None)


def _in_state(word: str, keys: LicenseKeyQuerySet) -> LicenseKeyQuerySet:
    """Return the keys in one of KEY_STATES: those that the figures count."""
    now = timezone.now()
    current, old = Q(KEPT, state=KeyState.CURRENT), Q(KEPT, state=KeyState.SUPERSEDED)
    valid, overlap = current & Q(expires_at__gt=now), old & Q(accepted_until__gt=now)
    withdrawn = Q(signing_key__state=SigningKeyState.DISABLED)
    return keys.filter(
        {
            "valid": valid & ~withdrawn,
            "superseded": overlap & ~withdrawn,
            "expired": current & Q(expires_at__lte=now),
            "revoked": ~KEPT & Q(state__in=NOT_DELETED),
            "replaced": Q(KEPT, state=KeyState.REPLACED) | old & Q(accepted_until__lte=now),
            "deleted": Q(state=KeyState.DELETED),
            "withdrawn": (valid | overlap) & withdrawn,
        }[word]
    )


@admin.register(LicenseKey)
class LicenseKeyAdmin(RevokingAdmin):
    """Signed keys with their history, without the keys themselves."""

    operator_actions = (REVOKE_KEY,)

    fields = (
        "state_now",
        "expires_at",
        "accepted_until",
        "replaced_at",
        "revoked_at",
        "deleted_at",
        "last_check",
        "last_downloaded_at",
        "issued_at",
        "created_by_name",
        "subscription",
        "tenant",
        "belongings",
        "jti",
        "license",
        "signing_key",
        "status_entry",
        "token_sha256",
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
    folded = ("jti", "license", "signing_key", "status_entry", "token_sha256")
    list_filter = (
        words_filter(
            "state",
            "needs",
            {
                **{word: (label, partial(_in_state, word)) for word, label in KEY_STATES.items()},
                "current": ("Current, not revoked", lambda keys: keys.current().filter(KEPT)),
                "expiring": ("Expires in 30 days", LicenseKeyQuerySet.expiring),
                "not_downloaded": ("Never downloaded", LicenseKeyQuerySet.never_downloaded),
                "not_checked": ("Never checked", LicenseKeyQuerySet.never_checked),
            },
        ),
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
        # What is selected here keeps Django from selecting the others.
        return rows.with_signing_key().select_related(*self.list_select_related)

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
        return badge_of_any(obj, timezone.now())

    @override
    def title_of(self, row: LicenseKey) -> str:
        return f"{row.get_slot_display()} key of {row.license.subscription}"

    @admin.display(description="last check by a terminal")
    def last_check(self, obj: LicenseKey) -> Shown:
        """Return when a terminal last checked it, and what it heard."""
        use = read_use([obj], timezone.now()).get(obj.pk)
        if use is None or use.last_at is None or use.last_result is None:
            return Shown("Never", format_html("{}", "Never"))
        heard = badge(use.last_result.label, "good" if use.last_result.passes else "bad")
        return Shown(
            use.last_at.isoformat(),
            format_html("{} {}", heard.html, moment(use.last_at, clock=True)),
        )

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


REFUSED = ("Refused, with any result", [each.value for each in Result if not each.passes])


class DayBegins(Func):
    """When the day (UTC) of a moment begins, by functions of the database itself."""

    output_field = DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """SQLite keeps moments as text, in UTC; TruncDay would ask Python for each row."""
        return self.as_sql(
            compiler, connection, template="datetime(%(expressions)s, 'start of day')"
        )

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """PostgreSQL cuts in the zone that it is told."""
        return self.as_sql(
            compiler, connection, template="date_trunc('day', %(expressions)s, 'UTC')"
        )


class DayEnds(DayBegins):
    """When the next day begins."""

    @override
    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="datetime(%(expressions)s, 'start of day', '+1 day')"
        )

    @override
    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = "date_trunc('day', %(expressions)s, 'UTC') + interval '24 hours'"
        return self.as_sql(compiler, connection, template=f"({template})")


def _moment(text: str) -> datetime | None:
    """Return a moment of an address, None for what is none: the list refuses that itself."""
    try:
        return parse_datetime(text)
    except ValueError:
        return None


@admin.register(CheckCount)
class CheckCountAdmin(ReadOnlyAdmin):
    """Checks by terminals, by key, day and result.

    They are counted by the hour. Of each day the row of the last hour stands for all of them, with
    their sum; where an address asks for one hour, each row is what it is.
    """

    fields = ("outcome", "checks", "last_at", "subscription", "tenant", "license_key")
    list_display = ("checks", "outcome", "subscription", "slot", "last_at")
    below = {"subscription": "tenant"}
    clocks = ("last_at",)
    days = "hour"
    also_exported = ("hour",)
    has_history = False
    intro = "What terminals heard, summed for each day (UTC), license key and result."
    told_as = {"hour": "Checked"}
    list_filter = (choice_filter("result", "result", Result, several={"refused": REFUSED}),)
    list_select_related = ("tenant", "license_key__license__subscription")
    search_fields = ("tenant__name",)
    search_help_text = "Tenant's name, or whole jti or identifier of the tenant"
    ordering = ("-hour", "-id")
    identifiers = ("license_key__jti", "tenant_id")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Keep the last hour of each day, with the sum of the day or of what is asked of it."""
        rows = super().get_queryset(request).defer("license_key__token")
        if "hour__exact" in request.GET:
            return rows.annotate(checked=F("count"))
        same = CheckCount.objects.filter(
            license_key=OuterRef("license_key"), result=OuterRef("result")
        ).order_by()
        since = _moment(request.GET.get("hour__gte", ""))
        asked = same.filter(hour__gte=since) if since else same
        of_day = asked.filter(hour__gte=DayBegins(OuterRef("hour")), hour__lte=OuterRef("hour"))
        summed = of_day.values("license_key").annotate(checked=Sum("count")).values("checked")
        later = same.filter(hour__gt=OuterRef("hour"), hour__lt=DayEnds(OuterRef("hour")))
        return rows.filter(~Exists(later)).annotate(checked=Subquery(summed))

    @override
    def title_of(self, row: Any) -> str:
        return f"{self.checks(row).html} {day(row.hour.astimezone(UTC))}"

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

    @admin.display(description="checks")
    def checks(self, obj: Any) -> Shown:
        """Return how many there were."""
        times = f"{obj.checked:,} check{'' if obj.checked == 1 else 's'}"
        return Shown(str(obj.checked), format_html("{}", times))

    @admin.display(description="subscription")
    def subscription(self, obj: CheckCount) -> Subscription:
        """Return what the checked key was issued for."""
        return obj.license_key.license.subscription
