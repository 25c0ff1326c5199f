"""An owner takes all data of the tenant along, in one archive that is written while it is sent."""

import csv
import io
import json
import tracemalloc
import zipfile

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from licenses.models import LicenseKey
from portal.accounts.proof import proof_address
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.tenants import leaving
from portal.tenants.export import export
from portal.tenants.flows.closing import record_export
from portal.tenants.models import Invitation, Member, Role
from portal.web.zip_files import zipped
from portal.webhooks.models import Endpoint
from tests.support.accounts import sign_in, stale
from tests.support.database import copies
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.people import log, member_actor, refusal
from tests.support.service_tokens import make_service_token

pytestmark = pytest.mark.django_db
EXPORT = "/tenant/export/"


def opened(parts):
    return zipfile.ZipFile(io.BytesIO(b"".join(parts)))


def test_the_archive_holds_everything_and_no_secret(owner, owner_client, contoso, fabrikam):
    license = make_license(subscription=make_subscription(tenant=contoso, name="=Field tools"))
    make_key(license=license, state="replaced")
    make_license(subscription=make_subscription(tenant=fabrikam))
    Invitation.objects.create(
        tenant=contoso,
        email="a@x.example",
        role="viewer",
        invited_by=owner,
        token_sha256="f00d" * 16,
    )
    token, secret = make_service_token(tenant=contoso, only=[license.subscription])
    Endpoint.objects.create(tenant=contoso, url="https://x.example/", secret="c0de" * 16)
    answer = owner_client.post(EXPORT)
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/zip", "no-store")
    assert answer["Content-Disposition"].startswith('attachment; filename="tenant-data-')
    archive = opened(answer.streaming_content)
    assert archive.testzip() is None
    names = [section.name for section in leaving.sections]
    folder = f"license-files/{license.subscription_id}"
    assert sorted(archive.namelist()) == sorted(
        [
            "README.txt",
            *(f"json/{name}.json" for name in names),
            *(f"csv/{name}.csv" for name in names),
            f"{folder}/Field-tools-primary.json",
            f"{folder}/Field-tools-secondary.json",
        ]
    )
    data = {name: json.loads(archive.read(f"json/{name}.json")) for name in names}
    assert {name: len(rows) for name, rows in data.items()} == {
        "tenant": 1,
        "members": 1,
        "invitations": 1,
        "notification-preferences": 0,
        "mail-recipients": 0,
        "log": 1,
        "webhooks": 1,
        "webhook-deliveries": 0,
        "webhook-attempts": 0,
        "subscriptions": 1,
        "service-tokens": 1,
        "service-token-subscriptions": 1,
        "licenses": 1,
        "license-keys": 3,
        "checks": 0,
    }
    assert data["service-token-subscriptions"] == [
        {"servicetoken_id": str(token.pk), "subscription_id": str(license.subscription_id)}
    ]
    assert data["members"][0]["user__email"] == owner.email
    assert data["log"][0]["action"] == "tenant.exported"
    assert data["log"][0]["hash"] == LogEntry.objects.get().hash
    for name in names:
        text = archive.read(f"csv/{name}.csv").decode("utf-8-sig")
        assert len(list(csv.reader(io.StringIO(text)))) == len(data[name]) + 1
    assert "'=Field tools" in archive.read("csv/subscriptions.csv").decode()
    key = LicenseKey.objects.get(license=license, slot="primary", state="current")
    assert json.loads(archive.read(f"{folder}/Field-tools-primary.json"))["key"] == key.token
    whole = b"".join(archive.read(name) for name in archive.namelist())
    owner.refresh_from_db()
    secrets = ("f00d" * 16, "c0de" * 16, owner.password, secret, token.secret_sha256)
    assert [one for one in secrets if one.encode() in whole] == []


def test_it_needs_a_recent_proof_and_the_role(owner, manager, contoso):
    answer = sign_in(Client(), owner, at=stale()).post(EXPORT)
    assert answer["Location"] == proof_address(EXPORT)
    assert sign_in(Client(), manager).post(EXPORT).status_code == 403
    assert log(contoso) == []


def test_an_owner_of_before_gets_nothing(owner, manager, contoso):
    Member.objects.filter(user=owner).update(role=Role.VIEWER)
    sentence = refusal(lambda: record_export(tenant=contoso, actor=member_actor(owner)))
    assert sentence == "You are no longer an owner of Contoso. Nothing was changed."


@pytest.mark.sweep
def test_a_hundred_thousand_rows_are_never_in_memory_together(contoso):
    with transaction.atomic():
        row = record(
            actor=SYSTEM,
            action=Action.SIGNED_IN,
            tenant_id=contoso.pk,
            details={"how": "password" * 10},
        )
    first = LogEntry.objects.latest("pk").pk
    copies(row, 100_000, seq="n + 1", id=f"{first} + n")
    tracemalloc.start()
    size = rows = 0
    for part in zipped(export(contoso, portal_name="Portal", now=timezone.now()), at=row.at):
        size, rows = size + len(part), rows + 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows > 3
    assert peak < 20 * 1024 * 1024, f"{peak / 1024 / 1024:.0f} MiB for {size} bytes"
