"""Download over HTTP: the file, its headers, its record, and when there is none."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses.flows.revoke import revoke_key
from licenses.models import License, LicenseKey, Slot
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from subscriptions.models import State
from tests.support.answers import HTMX, messages_of
from tests.support.factories import make_license, make_subscription


@pytest.fixture
def license(contoso, signing_key) -> License:
    return make_license(subscription=make_subscription(tenant=contoso, name="Müller & Söhne"))


def url(license: License, slot: str = "primary") -> str:
    return reverse("licenses:download", args=[license.subscription_id, slot])


def key_of(license: License, slot: str = "primary") -> LicenseKey:
    return license.keys.current().get(slot=slot)


@pytest.mark.parametrize("slot", Slot.values)
def test_the_file_holds_the_key_of_its_slot(slot, viewer_client, license):
    file = json.loads(viewer_client.get(url(license, slot)).content)
    assert (file["key"], file["key_type"]) == (key_of(license, slot).token, f"{slot}_key")
    assert "consumer_object_id" not in file


def test_the_headers_make_it_a_download_that_nobody_keeps(viewer_client, license):
    answer = viewer_client.get(url(license))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == (
        'attachment; filename="Muller-Sohne-primary.json"; '
        "filename*=UTF-8''M%C3%BCller-S%C3%B6hne-primary.json"
    )


def test_a_download_is_one_row_of_the_log_and_a_time_on_the_key(viewer, viewer_client, license):
    before = timezone.now()
    viewer_client.get(url(license), REMOTE_ADDR="203.0.113.7")
    key = key_of(license)
    assert before <= key.last_downloaded_at <= timezone.now()
    assert key_of(license, "secondary").last_downloaded_at is None
    row = LogEntry.objects.get()
    told_in_row = (row.action, row.slot, row.actor_email, row.address, row.subscription_id)
    assert told_in_row == (
        "license_key.downloaded",
        "primary",
        viewer.email,
        "203.0.113.7",
        license.subscription_id,
    )
    assert row.details == {"jti": str(key.jti)}
    assert key.token not in json.dumps(row.details)


def test_head_tells_the_same_and_records_nothing(viewer_client, license):
    taken = viewer_client.get(url(license))
    key, rows = key_of(license), LogEntry.objects.count()
    asked = viewer_client.head(url(license))
    assert (asked.status_code, asked.content) == (200, b"")
    names = ["Content-Type", "Content-Disposition", "Cache-Control"]
    assert [asked[name] for name in names] == [taken[name] for name in names]
    assert (key_of(license).last_downloaded_at, LogEntry.objects.count()) == (
        key.last_downloaded_at,
        rows,
    )


def end(license: License) -> None:
    license.subscription.ends_at = timezone.now()
    license.subscription.save()


def move(license: License, state: State) -> None:
    license.subscription.state = state
    license.subscription.save()


def revoke(license: License) -> None:
    revoke_key(key=key_of(license), actor=SYSTEM, reason="Leaked")


def expire(license: License) -> None:
    at = timezone.now() - timedelta(days=31)
    license.keys.filter(slot="primary").update(issued_at=at, expires_at=timezone.now())


REFUSALS = {
    "suspended": (
        lambda license: move(license, State.SUSPENDED),
        (
            "This subscription is suspended. License keys are downloaded from active subscriptions "
            "only."
        ),
    ),
    "ended": (
        lambda license: move(license, State.ENDED),
        "This subscription has ended. License keys are downloaded from active subscriptions only.",
    ),
    "past its end date": (
        end,
        "This subscription has ended. License keys are downloaded from active subscriptions only.",
    ),
    "revoked": (
        revoke,
        "The primary key was revoked. Once a manager or owner has reset it, download the new one.",
    ),
    "expired": (
        expire,
        "The primary key has expired. Once a manager or owner has reset it, download the new one.",
    ),
}


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize(("make_so", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_a_key_no_terminal_starts_on_is_refused(make_so, sentence, headers, owner_client, license):
    make_so(license)
    rows = LogEntry.objects.count()
    answer = owner_client.get(url(license), headers=headers)
    page = reverse("subscriptions:detail", args=[license.subscription_id])
    if headers:
        assert (answer.status_code, answer["HX-Redirect"]) == (200, page)
    else:
        assert (answer.status_code, answer.url) == (302, page)
    assert messages_of(answer) == [sentence]
    assert (key_of(license).last_downloaded_at, LogEntry.objects.count()) == (None, rows)


@pytest.mark.parametrize("make_so", [revoke, expire], ids=["revoked", "expired"])
def test_the_other_slot_is_still_downloaded(make_so, viewer_client, license):
    make_so(license)
    assert viewer_client.get(url(license, "secondary")).status_code == 200


def test_a_slot_that_does_not_exist_is_no_address(viewer_client, license):
    assert viewer_client.get(url(license).replace("primary", "tertiary")).status_code == 404


def test_a_download_needs_no_recent_proof_but_a_session(license, client: Client):
    assert client.get(url(license))["Location"] == f"/accounts/login/?next={url(license)}"
