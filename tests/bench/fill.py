"""Fill a database: `python -m tests.bench.fill LICENSES PROBES FILE`.

PROBES license keys are really signed, and FILE gets the request of a terminal for each, a line
each. All other rows are copies of one license with numbers of their own, made by the database.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.core.management.color import no_style
from django.db import connection, models

PER_LIST = 65_536
FIRST_LIST = 1_000
"""Status lists of the copies, behind those of the signed keys."""


def main(licenses: int, probes: int, file: Path) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with file.open("w", encoding="utf-8") as lines:
        for request in signed(probes):
            lines.write(json.dumps(request) + "\n")
    copy(licenses - (probes + 1) // 2)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def signed(probes: int) -> Iterator[dict[str, str | None]]:
    """Make licenses of two signed keys each; yield what a terminal sends for each key."""
    from django.db import transaction

    from licenses.models import LicenseKey
    from tests.support.factories import make_license, make_subscription, make_tenant

    tenant = make_tenant(name="Contoso")
    with transaction.atomic():
        for _ in range((probes + 1) // 2):
            make_license(subscription=make_subscription(tenant=tenant, plan="enterprise-yearly"))
    keys = LicenseKey.objects.select_related("license").order_by("pk")[:probes]
    for key in keys.iterator():
        license = key.license
        yield {
            "key": key.token,
            "key_type": f"{key.slot}_key",
            "subject": str(license.subscription_id),
            "consumer_tenant_id": str(tenant.pk),
            "authorized_party": license.authorized_party,
            "authorized_application_id": str(license.authorized_application_id),
            "issuer": license.issuer,
            "audience": f"https://login.perpetualintelligence.com/{tenant.pk}/v2.0",
            "broker_id": "urn:oneimlx:lic:pvdr:pi",
            "consumer_object_id": None,
        }


def copy(licenses: int) -> None:
    """Copy the newest license that often, each with a subscription and two keys of its own."""
    from licenses.models import License, LicenseKey, Slot, StatusList
    from subscriptions.models import Subscription

    template = License.objects.order_by("-created_at").first()
    assert template is not None
    lists = range(2 * licenses // PER_LIST + 1)
    StatusList.objects.bulk_create(
        StatusList(number=FIRST_LIST + n, decoy_seed=bytes(32)) for n in lists
    )
    sqlite, uuid = connection.vendor == "sqlite", random_uuid()
    sha256 = "lower(hex(randomblob(32)))" if sqlite else "encode(sha256(n::text::bytea), 'hex')"
    series = f"SELECT generate_series(0, {licenses - 1}) AS n"
    if sqlite:
        series = (
            f"WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s"
            f" WHERE n < {licenses - 1}) SELECT n FROM s"
        )
    newest = LicenseKey.objects.order_by("-pk").values_list("pk", flat=True)[0]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copies AS {series}")
        cursor.execute("ALTER TABLE copies ADD COLUMN subscription_id varchar(36)")
        cursor.execute("ALTER TABLE copies ADD COLUMN license_id varchar(36)")
        cursor.execute(f"UPDATE copies SET subscription_id = {uuid}, license_id = {uuid}")
    cast = "" if sqlite else "::uuid"
    subscription_id, license_id = f"subscription_id{cast}", f"license_id{cast}"
    multiply(Subscription, template.subscription_id, id=f"copies.{subscription_id}")
    multiply(
        License,
        template.pk,
        id=f"copies.{license_id}",
        subscription_id=f"copies.{subscription_id}",
        authorized_application_id=uuid,
    )
    for place, slot in enumerate(Slot):
        number = f"(2 * n + {place})"
        key = LicenseKey.objects.get(license=template, slot=slot)
        multiply(
            LicenseKey,
            key.pk,
            id=f"{newest + 1} + {number}",
            license_id=f"copies.{license_id}",
            jti=uuid,
            token_sha256=sha256,
            status_list_id=f"{FIRST_LIST} + {number} / {PER_LIST}",
            status_index=f"mod({number}, {PER_LIST})",
        )
    with connection.cursor() as cursor:  # the next key gets an identifier behind these
        for statement in connection.ops.sequence_reset_sql(no_style(), [LicenseKey]):
            cursor.execute(statement)


def random_uuid() -> str:
    """Return the SQL for a new UUID."""
    return "lower(hex(randomblob(16)))" if connection.vendor == "sqlite" else "gen_random_uuid()"


def multiply(model: type[models.Model], pk: Any, **own: str) -> None:
    """Insert a copy of a row for each row of `copies`; `own` has the columns that differ."""
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields if field.column]
    values = ", ".join(own.get(column, f"template.{column}") for column in columns)
    key = model._meta.pk.get_db_prep_value(pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {values} FROM copies, {table} AS template WHERE template.id = %s",
            [key],
        )


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
