"""What stops keys: an overlap that ends early, Delete, and a revocation."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from licenses.checking.check import check
from licenses.flows.delete import delete_keys
from licenses.flows.end_overlap import end_key_overlap
from licenses.flows.reset import Overlap
from licenses.flows.revoke import revoke_key
from licenses.models import License, LicenseKey, SigningKey, Slot
from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription
from tests.support.factories import make_subscription
from tests.support.license_flows import (
    ADA,
    BOB,
    DAY,
    LATER,
    NOW,
    after_reset,
    at,
    broken_log,
    generated,
    opened,
    refusal,
)

pytestmark = pytest.mark.django_db

LATEST = LATER + DAY
HOUR = timedelta(hours=1)


@pytest.fixture
def license(contoso: Tenant, signing_key: SigningKey) -> License:
    return generated(make_subscription(tenant=contoso, name="Production"))


@pytest.fixture
def primary(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


@pytest.fixture
def secondary(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.SECONDARY)


def results(*keys: LicenseKey, now: datetime = LATEST) -> list[str]:
    """Return what checks of the tokens, as they were handed out, answer."""
    return [check(key.token or "", expected={}, now=now).result.value for key in keys]


def row(key: LicenseKey) -> dict[str, Any]:
    return {**LicenseKey.objects.filter(pk=key.pk).values().get()}


def ended(license: License, slot: Slot = Slot.PRIMARY, **changes: Any) -> LicenseKey:
    """Return the old key of the slot, stopped by Ada who saw the current one."""
    seen = LicenseKey.objects.filter(license=license, slot=slot).latest("pk").jti
    values = {"actor": ADA, "expected_jti": seen} | changes
    return end_key_overlap(license=license, slot=slot, **values)


def newest_entry() -> tuple[Any, ...]:
    entry = LogEntry.objects.order_by("-seq")[0]
    return entry.seq, entry.at, entry.actor_name, entry.action, entry.slot, entry.details


class TestEndOverlap:
    def test_stops_the_old_key_now(self, license: License, primary: LicenseKey) -> None:
        new = after_reset(license, overlap=Overlap.WEEK)
        before = row(primary)
        assert results(primary, new, now=LATER + HOUR) == ["superseded", "valid"]
        assert ended(license, now=LATER + HOUR).pk == primary.pk
        assert row(primary) == before | {"state": "replaced", "accepted_until": LATER + HOUR}
        assert results(primary, new, now=LATER + HOUR) == ["replaced", "valid"]

    def test_is_told_by_one_log_row(self, license: License, primary: LicenseKey) -> None:
        after_reset(license, overlap=Overlap.WEEK)
        ended(license, now=LATEST)
        assert newest_entry() == (
            3, LATEST, "Ada Lovelace", "license_key.overlap_ended", "primary",
            {"jti": str(primary.jti)},
        )  # fmt: skip

    def test_leaves_the_overlap_of_the_other_slot(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        for slot in Slot:
            after_reset(license, slot, overlap=Overlap.WEEK)
        ended(license, Slot.SECONDARY, now=LATEST)
        assert results(primary, secondary) == ["superseded", "replaced"]

    @pytest.mark.parametrize("state", [State.SUSPENDED, State.ENDED])
    def test_needs_no_active_subscription(
        self, license: License, primary: LicenseKey, state: State
    ) -> None:
        after_reset(license, overlap=Overlap.WEEK)
        Subscription.objects.update(state=state)
        ended(license, now=LATEST)
        assert results(primary) == ["replaced"]

    @pytest.mark.parametrize("case", ["none", "other slot", "over", "ended", "revoked", "deleted"])
    def test_is_refused_when_none_runs(
        self, license: License, primary: LicenseKey, case: str
    ) -> None:
        if case != "none":
            slot = Slot.SECONDARY if case == "other slot" else Slot.PRIMARY
            after_reset(license, slot, overlap=Overlap.DAY)
        if case == "ended":
            ended(license, now=LATER + HOUR)
        if case == "revoked":
            revoke_key(key=primary, actor=ADA, reason="leaked", now=LATER + HOUR)
        if case == "deleted":
            delete_keys(license=license, actor=ADA, now=LATER + HOUR)
        now = LATER + DAY if case == "over" else LATER + 2 * HOUR
        caught = refusal(lambda: ended(license, now=now))
        assert caught.sentence == (
            "No old primary key is accepted any more: its overlap is over already."
        )

    def test_stops_no_key_that_nobody_saw(self, license: License, primary: LicenseKey) -> None:
        seen = after_reset(license, overlap=Overlap.WEEK)
        after_reset(license, overlap=Overlap.WEEK, now=LATER + HOUR)
        caught = refusal(lambda: ended(license, expected_jti=seen.jti, now=LATEST))
        assert caught.sentence == (
            f"Bob Babbage reset the primary key on {at(LATER + HOUR)}. Nothing was changed: look "
            "at the new key first."
        )
        never = refusal(lambda: ended(license, expected_jti=license.pk, now=LATEST))
        assert never.sentence == (
            f"This primary slot never had the key {license.pk}. Nothing was changed."
        )

    def test_is_whole_or_not_at_all(self, license: License, primary: LicenseKey) -> None:
        after_reset(license, overlap=Overlap.WEEK)
        with broken_log():
            ended(license, now=LATEST)
        assert results(primary) == ["superseded"]


class TestDelete:
    def test_leaves_of_each_key_what_a_check_needs(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        before = row(primary), row(secondary)
        delete_keys(license=license, actor=BOB, now=LATER)
        gone = {"state": "deleted", "token": None, "deleted_at": LATER}
        assert (row(primary), row(secondary)) == (before[0] | gone, before[1] | gone)
        assert len(before[0]["token_sha256"]) == 64
        assert results(primary, secondary) == ["deleted", "deleted"]

    def test_names_who_and_when_on_the_license(self, license: License) -> None:
        before = License.objects.values().get()
        deleted = delete_keys(license=license, actor=BOB, now=LATER)
        told = {"deleted_at": LATER, "deleted_by_name": "Bob Babbage"}
        assert License.objects.values().get() == {**before, **told}
        assert (deleted.pk, deleted.deleted_at) == (license.pk, LATER)

    def test_is_told_by_one_log_row(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        delete_keys(license=license, actor=BOB, now=LATER)
        assert newest_entry() == (
            2, LATER, "Bob Babbage", "license_keys.deleted", "",
            {
                "authorized_application_id": str(license.authorized_application_id),
                "jti": [str(primary.jti), str(secondary.jti)],
            },
        )  # fmt: skip

    def test_takes_every_token_and_deletes_what_was_accepted(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        """Keys that were replaced before stay so: a check says what became of them first."""
        revoke_key(key=secondary, actor=ADA, reason="leaked", now=NOW + DAY)
        second = after_reset(license, overlap=Overlap.NOW)
        third = after_reset(license, overlap=Overlap.WEEK, now=LATER + HOUR)
        delete_keys(license=license, actor=BOB, now=LATEST)
        assert [*LicenseKey.objects.values_list("token", flat=True)] == [None] * 4
        assert results(primary, second, third, secondary) == [
            "replaced", "deleted", "deleted", "deleted",
        ]  # fmt: skip

    def test_leaves_an_old_key_replaced_whose_overlap_was_over(
        self, license: License, primary: LicenseKey
    ) -> None:
        after_reset(license, overlap=Overlap.DAY)
        assert results(primary, now=LATER + DAY) == ["replaced"]
        delete_keys(license=license, actor=BOB, now=LATER + DAY)
        assert results(primary, now=LATER + DAY) == ["replaced"]
        assert row(primary)["token"] is None

    @pytest.mark.parametrize("state", [State.SUSPENDED, State.ENDED])
    def test_needs_no_active_subscription(
        self, license: License, primary: LicenseKey, state: State
    ) -> None:
        Subscription.objects.update(state=state)
        delete_keys(license=license, actor=BOB, now=LATER)
        assert results(primary) == ["deleted"]
        assert Subscription.objects.get().state == state

    def test_is_refused_the_second_time_naming_who_and_when(self, license: License) -> None:
        others = License.objects.get(pk=license.pk)
        delete_keys(license=others, actor=BOB, now=LATER)
        caught = refusal(lambda: delete_keys(license=license, actor=ADA, now=LATEST))
        assert caught.sentence == (
            f"Bob Babbage deleted these license keys on {at(LATER)}. Nothing is left to delete."
        )

    def test_is_whole_or_not_at_all(self, license: License, primary: LicenseKey) -> None:
        with broken_log():
            delete_keys(license=license, actor=BOB, now=LATER)
        assert results(primary) == ["valid"]

    def test_leaves_another_subscription_alone(self, license: License) -> None:
        other = generated(make_subscription(tenant=license.tenant))
        delete_keys(license=license, actor=BOB, now=LATER)
        assert results(*other.keys.all()) == ["valid", "valid"]

    def test_makes_room_for_new_keys_of_a_new_application(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        delete_keys(license=license, actor=BOB, now=LATER)
        again = generated(license.subscription, now=LATEST)
        ids = [
            UUID(opened(key.token)[1]["auth_apps"]) for key in (primary, *again.keys.order_by("pk"))
        ]
        old, new = license.authorized_application_id, again.authorized_application_id
        assert ids == [old, new, new]
        assert old != new
        assert results(primary, secondary, *again.keys.all()) == [
            "deleted", "deleted", "valid", "valid",
        ]  # fmt: skip
        places = {(key.status_list_id, key.status_index) for key in LicenseKey.objects.all()}
        assert len(places) == 4


class TestRevoke:
    def test_refuses_this_key_only(
        self, license: License, primary: LicenseKey, secondary: LicenseKey
    ) -> None:
        before = row(primary), row(secondary)
        revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER)
        assert (row(primary), row(secondary)) == (before[0] | {"revoked_at": LATER}, before[1])
        assert results(primary, secondary) == ["revoked", "valid"]

    def test_is_told_by_one_log_row_with_its_reason(
        self, license: License, primary: LicenseKey
    ) -> None:
        revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER)
        details = {
            "jti": str(primary.jti),
            "before": {"revoked_at": None},
            "after": {"revoked_at": LATER.isoformat()},
        }
        assert newest_entry() == (
            2, LATER, "Ada Lovelace", "license_key.revoked", "primary", details,
        )  # fmt: skip
        assert LogEntry.objects.order_by("-seq")[0].reason == "It leaked."

    def test_of_a_revoked_key_returns_it_as_it_is(
        self, license: License, primary: LicenseKey
    ) -> None:
        others = LicenseKey.objects.get(pk=primary.pk)
        revoke_key(key=others, actor=ADA, reason="It leaked.", now=LATER)
        rows = LogEntry.objects.count()
        again = revoke_key(key=primary, actor=BOB, reason="Again.", now=LATEST)
        assert (again.revoked_at, LogEntry.objects.count()) == (LATER, rows)

    def test_ends_an_overlap(self, license: License, primary: LicenseKey) -> None:
        new = after_reset(license, overlap=Overlap.WEEK)
        revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER + HOUR)
        assert results(primary, new) == ["revoked", "valid"]

    def test_outlasts_another_reset(self, license: License, primary: LicenseKey) -> None:
        after_reset(license, overlap=Overlap.WEEK)
        revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER + HOUR)
        after_reset(license, overlap=Overlap.EXPIRY, now=LATER + 2 * HOUR)
        assert results(primary) == ["revoked"]

    def test_gives_way_to_delete(self, license: License, primary: LicenseKey) -> None:
        revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER)
        delete_keys(license=license, actor=BOB, now=LATEST)
        assert results(primary) == ["deleted"]
        assert row(primary)["revoked_at"] == LATER

    def test_of_a_deleted_key_is_refused(self, license: License, primary: LicenseKey) -> None:
        delete_keys(license=license, actor=BOB, now=LATER)
        caught = refusal(
            lambda: revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATEST)
        )
        assert caught.sentence == "This license key was deleted; its checks are refused already."

    def test_is_whole_or_not_at_all(self, license: License, primary: LicenseKey) -> None:
        with broken_log():
            revoke_key(key=primary, actor=ADA, reason="It leaked.", now=LATER)
        assert results(primary) == ["valid"]
