"""The licenses of a tenant that leaves: what its export tells, and how their keys are deleted."""

from collections.abc import Callable, Iterator

from django.db.models import QuerySet

from licenses.files import license_file
from licenses.flows.delete import delete_keys
from licenses.models import CheckCount, License, LicenseKey
from portal.activity.pseudonyms import Pseudonyms
from portal.core.actors import SYSTEM
from portal.core.steps import read_along
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant

SECTIONS = (
    Section(
        name="licenses",
        fields=(
            *("id", "subscription_id", "plan_urn", "usage", "holder_name", "country"),
            *("authorized_application_id", "issuer", "tenant_audience", "authorized_party"),
            *("days", "custom_claims", "created_at", "created_by_name", "deleted_at"),
            "deleted_by_name",
        ),
        rows=lambda tenant: tenant.licenses.all(),
    ),
    Section(
        name="license-keys",
        fields=(
            *("jti", "license_id", "slot", "state", "issued_at", "expires_at", "accepted_until"),
            *("replaced_at", "revoked_at", "deleted_at", "created_by_name", "last_downloaded_at"),
            "token_sha256",
        ),
        rows=lambda tenant: tenant.license_keys.defer("token"),
    ),
    Section(
        name="checks",
        fields=("license_key__jti", "hour", "result", "count"),
        rows=lambda tenant: CheckCount.objects.filter(tenant=tenant).select_related("license_key"),
    ),
)
KEYS_PER_READ = 200
"""License keys whose files are in memory at a time."""


def license_files(tenant: Tenant) -> Iterator[tuple[str, bytes]]:
    """Yield the license files of the keys that are in a slot now, in a folder per subscription."""
    keys = tenant.license_keys.current().select_related(
        "license__subscription", "license__tenant", "signing_key"
    )
    for key in read_along(keys, "pk", KEYS_PER_READ):
        subscription = key.license.subscription
        file = license_file(key, subscription_name=subscription.name)
        yield f"license-files/{subscription.pk}/{file.name}", file.content


def delete_all_keys(tenant: Tenant, names: Pseudonyms) -> None:  # noqa: ARG001 (a `Step`)
    """Delete all license keys."""
    for license in tenant.licenses.not_deleted().order_by("pk"):
        delete_keys(license=license, actor=SYSTEM)


def replace_names(tenant: Tenant, names: Pseudonyms) -> None:
    """Replace the names in what stays of licenses and keys."""
    licenses, keys = License.objects.filter(tenant=tenant), LicenseKey.objects.filter(tenant=tenant)
    _rename(licenses, "holder_name", names.text)
    _rename(licenses, "created_by_name", names.text)
    _rename(licenses, "deleted_by_name", names.text)
    _rename(keys, "created_by_name", names.text)


def _rename(rows: QuerySet, column: str, pseudonym: Callable[[str], str]) -> None:
    """Replace each value of the column, in a statement of its own."""
    for value in rows.order_by().values_list(column, flat=True).distinct():
        rows.filter(**{column: value}).update(**{column: pseudonym(value)})
