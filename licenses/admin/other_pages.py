"""What license keys add to the admin's start page and its pages of tenants and subscriptions."""

from typing import Any, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from licenses.figures.charts import start_page
from licenses.models import LicensedSubscriptions
from portal.operators.admin import TenantAdmin
from portal.operators.lists import word_filter
from portal.operators.site import OperatorSite
from portal.tenants.models import Tenant
from subscriptions.admin import SubscriptionAdmin
from subscriptions.models import Subscription

OperatorSite.start_page = staticmethod(start_page)

admin.site.unregister([Tenant, Subscription])


@admin.register(Tenant)
class LicensedTenantAdmin(TenantAdmin):
    """Tenants, with search and links by what was issued to them."""

    identifiers = (
        *TenantAdmin.identifiers,
        "subscriptions__id",
        "licenses__authorized_application_id",
        "license_keys__jti",
    )
    belonging_lists = (
        ("Subscriptions", "subscriptions_subscription"),
        ("Licenses", "licenses_license"),
        ("License keys", "licenses_licensekey"),
    )


@admin.register(Subscription)
class LicensedSubscriptionAdmin(SubscriptionAdmin):
    """Subscriptions, with search, filters and links by their license keys."""

    list_filter = (
        SubscriptionAdmin.list_filter[0],
        word_filter("expiry", "expiring", "Within 30 days", LicensedSubscriptions.expiring),
        word_filter("download", "downloaded", "Never", LicensedSubscriptions.never_downloaded),
        word_filter("check", "checked", "Never", LicensedSubscriptions.never_checked),
        *SubscriptionAdmin.list_filter[1:],
    )
    identifiers = (
        *SubscriptionAdmin.identifiers,
        "licenses__authorized_application_id",
        "licenses__keys__jti",
    )
    belonging_lists = (("Licenses", "licenses_license"),)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return a LicensedSubscriptions, which has the queries about license keys."""
        return self.shown(LicensedSubscriptions(Subscription))
