"""Reset: a new key for one slot, what becomes of the old one, and what is refused."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from licenses import keys
from licenses.checking.check import check
from licenses.checking.results import Result
from licenses.flows.delete import delete_keys
from licenses.flows.reset import Overlap
from licenses.flows.revoke import revoke_key
from licenses.models import KeyState, License, LicenseKey, SigningKey, Slot, Usage
from portal.activity.models import LogEntry
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import CUSTOM_CLAIMS, make_custom_plan, make_subscription
from tests.support.license_flows import (
    ADA,
    DAY,
    LATER,
    NOW,
    after_reset,
    at,
    broken_log,
    generated,
    meanwhile,
    opened,
    refusal,
)

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)
EXPIRES = (NOW + 31 * DAY).replace(microsecond=0)
RENEWED = {"jti", "iat", "nbf", "exp", "status"}
"""The claims of a new key that differ from the old one's."""


@pytest.fixture
def license(contoso: Tenant, signing_key: SigningKey) -> License:
    """A license of a monthly plan with both keys."""
    return generated(make_subscription(tenant=contoso, name="Production"))


@pytest.fixture
def old(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


def result(key: LicenseKey, now: datetime) -> str:
    """Return what a check of the key's token, as it was handed out, answers."""
    return check(key.token or "", expected={}, now=now).result.value


def row(key: LicenseKey) -> dict[str, Any]:
    return {**LicenseKey.objects.filter(pk=key.pk).values().get()}


class TestOldKey:
    @pytest.mark.parametrize(
        ("overlap", "ends"),
        [
            (Overlap.DAY, LATER + DAY),
            (Overlap.WEEK, LATER + 7 * DAY),
            (Overlap.EXPIRY, EXPIRES),
        ],
    )
    def test_is_accepted_until_the_overlap_ends(
        self, license: License, old: LicenseKey, overlap: Overlap, ends: datetime
    ) -> None:
        before = row(old)
        after_reset(license, overlap=overlap)
        assert row(old) == before | {
            "state": "superseded",
            "replaced_at": LATER,
            "accepted_until": ends,
        }
        results = [result(old, now) for now in (LATER, ends - TICK, ends)]
        assert results == ["superseded", "superseded", "replaced"]
        verdict = check(old.token or "", expected={}, now=LATER)
        assert (verdict.accepted_until, verdict.passes) == (ends, True)

    def test_stops_at_once_without_overlap(self, license: License, old: LicenseKey) -> None:
        before = row(old)
        after_reset(license, overlap=Overlap.NOW)
        assert row(old) == before | {"state": "replaced", "replaced_at": LATER}
        assert [result(old, now) for now in (NOW, LATER)] == ["replaced", "replaced"]

    @pytest.mark.parametrize("overlap", [Overlap.DAY, Overlap.WEEK, Overlap.EXPIRY])
    def test_is_never_accepted_past_its_own_expiry(
        self, license: License, old: LicenseKey, overlap: Overlap
    ) -> None:
        after_reset(license, overlap=overlap, now=EXPIRES - timedelta(hours=1))
        assert row(old)["accepted_until"] == EXPIRES
        assert [result(old, now) for now in (EXPIRES - TICK, EXPIRES)] == ["superseded", "replaced"]

    def test_of_an_earlier_overlap_stops_at_once(self, license: License, old: LicenseKey) -> None:
        second = after_reset(license, overlap=Overlap.EXPIRY)
        assert result(old, LATER + DAY) == "superseded"
        third = after_reset(license, overlap=Overlap.WEEK, now=LATER + DAY)
        results = [result(key, LATER + DAY) for key in (old, second, third)]
        assert results == ["replaced", "superseded", "valid"]
        states = license.keys.filter(slot=Slot.PRIMARY).order_by("issued_at")
        assert [*states.values_list("state", flat=True)] == ["replaced", "superseded", "current"]

    def test_of_the_other_slots_overlap_goes_on(self, license: License, old: LicenseKey) -> None:
        after_reset(license, Slot.PRIMARY, overlap=Overlap.WEEK)
        after_reset(license, Slot.SECONDARY, overlap=Overlap.WEEK)
        assert result(old, LATER) == "superseded"


class TestNewKey:
    def test_is_never_issued_before_the_old_one(self, license: License, old: LicenseKey) -> None:
        early = old.issued_at - timedelta(minutes=10)
        refused = refusal(lambda: after_reset(license, now=early))
        assert refused.sentence.startswith("The clock of this portal is behind the old key, issued")

    @pytest.mark.parametrize("slot", Slot)
    def test_differs_in_what_is_new_only(self, license: License, slot: Slot) -> None:
        before = opened(license.keys.get(slot=slot).token)
        new = after_reset(license, slot)
        assert opened(row(new)["token"]) == opened(new.token)
        header, claims = opened(new.token)
        issued = int(LATER.timestamp())
        assert header == before[0]
        assert {name for name in claims if claims[name] != before[1][name]} == RENEWED
        assert claims == before[1] | {
            "jti": str(new.jti),
            "iat": issued,
            "nbf": issued,
            "exp": issued + 31 * 86_400,
            "status": {
                "status_list": {
                    "idx": new.status_index,
                    "uri": before[1]["status"]["status_list"]["uri"],
                }
            },
        }
        assert claims["auth_apps"] == str(license.authorized_application_id)
        assert result(new, LATER) == "valid"

    @pytest.mark.parametrize("slot", Slot)
    def test_leaves_the_other_slot_and_the_license_alone(
        self, license: License, slot: Slot
    ) -> None:
        other = license.keys.get(slot=slot.other)
        before = row(other), License.objects.values().get()
        after_reset(license, slot)
        assert (row(other), License.objects.values().get()) == before

    def test_is_made_from_what_was_frozen(self, license: License, settings: Settings) -> None:
        before = opened(license.keys.get(slot=Slot.PRIMARY).token)[1]
        Tenant.objects.update(name="Renamed", country="DEU")
        Plan.objects.filter(pk=license.plan_id).update(
            urn="urn:oneimlx:lic:plan:other", billing_period="yearly", custom_claims={"x": 1}
        )
        settings.LICENSE_ISSUER = settings.LICENSE_AUTHORIZED_PARTY = "urn:other"
        settings.LICENSE_TENANT_AUDIENCE = "https://other.example/{tid}"
        claims = opened(after_reset(License.objects.get()).token)[1]
        assert {name for name in claims | before if claims.get(name) != before.get(name)} == RENEWED
        assert claims["exp"] - claims["iat"] == 31 * 86_400

    def test_has_the_custom_claims_that_were_frozen(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        plan = make_custom_plan()
        license = generated(make_subscription(tenant=contoso, plan=plan))
        Plan.objects.filter(pk=plan.pk).update(custom_claims=CUSTOM_CLAIMS | {"terminal_limit": 1})
        claims = opened(after_reset(License.objects.get(pk=license.pk)).token)[1]
        assert {name: claims[name] for name in CUSTOM_CLAIMS} == CUSTOM_CLAIMS

    def test_is_cut_at_the_end_date(self, license: License) -> None:
        Subscription.objects.update(ends_at=LATER + 3 * DAY)
        new = after_reset(License.objects.get())
        assert new.expires_at == (LATER + 3 * DAY).replace(microsecond=0)

    def test_is_told_by_one_log_row(self, license: License, old: LicenseKey) -> None:
        new = after_reset(license, overlap=Overlap.DAY)
        entry = LogEntry.objects.first()
        assert (LogEntry.objects.count(), entry.seq, entry.actor_name, entry.at) == (
            2, 2, "Bob Babbage", LATER,
        )  # fmt: skip
        assert (entry.action, entry.slot, entry.details) == (
            "license_key.reset",
            "primary",
            {
                "jti": str(new.jti),
                "replaces": str(old.jti),
                "accepted_until": (LATER + DAY).isoformat(),
            },
        )


class TestDeadKey:
    def test_that_is_revoked_stays_revoked(self, license: License, old: LicenseKey) -> None:
        revoke_key(key=old, actor=ADA, reason="leaked", now=NOW + DAY)
        new = after_reset(license, overlap=Overlap.NOW)
        assert (row(old)["revoked_at"], row(old)["state"]) == (NOW + DAY, KeyState.REPLACED)
        assert [result(key, LATER) for key in (old, new)] == ["revoked", "valid"]

    def test_that_is_expired_is_replaced(self, license: License, old: LicenseKey) -> None:
        new = after_reset(license, overlap=Overlap.NOW, now=EXPIRES)
        assert [result(key, EXPIRES) for key in (old, new)] == ["replaced", "valid"]

    @pytest.mark.parametrize("overlap", [Overlap.DAY, Overlap.WEEK, Overlap.EXPIRY])
    @pytest.mark.parametrize("dead", ["revoked", "expired"])
    def test_is_not_kept_working(
        self, license: License, old: LicenseKey, dead: str, overlap: Overlap
    ) -> None:
        now = EXPIRES if dead == "expired" else LATER
        if dead == "revoked":
            revoke_key(key=old, actor=ADA, reason="leaked", now=NOW + DAY)
        caught = refusal(lambda: after_reset(license, overlap=overlap, now=now))
        assert (caught.sentence, caught.field) == (
            "The old key is revoked, withdrawn or expired: it cannot be kept working.",
            "overlap",
        )
        assert result(old, LATER) == ("revoked" if dead == "revoked" else "valid")


class TestRefusals:
    def test_of_a_stale_page_name_who_and_when(self, license: License, old: LicenseKey) -> None:
        new = after_reset(license)
        stale = refusal(
            lambda: after_reset(license, actor=ADA, expected_jti=old.jti, now=LATER + DAY)
        )
        assert stale.sentence == (
            f"Bob Babbage reset the primary key on {at(LATER)}. Nothing was changed: look at "
            "the new key first."
        )
        assert result(new, LATER + DAY) == "valid"

    def test_come_when_somebody_was_first_while_it_was_signed(
        self, license: License, old: LicenseKey
    ) -> None:
        with meanwhile(lambda: after_reset(license)), pytest.raises(Refused) as caught:
            after_reset(license, actor=ADA)
        assert caught.value.sentence == (
            f"Bob Babbage reset the primary key on {at(LATER)}. Nothing was changed: look at "
            "the new key first."
        )
        assert license.keys.filter(slot=Slot.PRIMARY).count() == 2

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                lambda license: delete_keys(license=license, actor=ADA, now=LATER),
                (
                    f"Ada Lovelace deleted these license keys on {at(LATER)}. There is nothing to "
                    "reset."
                ),
            ),
            (
                lambda license: Subscription.objects.update(state=State.SUSPENDED),
                (
                    "This subscription is suspended. License keys are reset on active "
                    "subscriptions only."
                ),
            ),
            (
                lambda license: Subscription.objects.update(
                    plan=Plan.objects.get(code="smb-yearly")
                ),
                (
                    "The plan of this subscription has changed since the license keys were "
                    "generated. Delete them and generate new ones to get keys of the new plan."
                ),
            ),
        ],
        ids=["deleted", "suspended", "another plan"],
    )
    def test_come_when_it_changed_while_the_key_was_signed(
        self, license: License, old: LicenseKey, change: Callable[[License], object], sentence: str
    ) -> None:
        other = License.objects.get(pk=license.pk)
        with meanwhile(lambda: change(other)), pytest.raises(Refused) as caught:
            after_reset(license)
        assert caught.value.sentence == sentence
        assert license.keys.filter(slot=Slot.PRIMARY).count() == 1

    def test_of_an_overlap_come_when_the_key_was_revoked_while_the_new_one_was_signed(
        self, license: License, old: LicenseKey
    ) -> None:
        revoke = partial(revoke_key, key=old, actor=ADA, reason="It leaked.", now=LATER)
        with meanwhile(revoke), pytest.raises(Refused) as caught:
            after_reset(license, overlap=Overlap.WEEK)
        assert caught.value.sentence == (
            "The old key is revoked, withdrawn or expired: it cannot be kept working."
        )

    def test_of_deleted_keys_name_who_and_when(self, license: License, old: LicenseKey) -> None:
        delete_keys(license=license, actor=ADA, now=NOW + DAY)
        caught = refusal(lambda: after_reset(license, expected_jti=old.jti))
        assert caught.sentence == (
            f"Ada Lovelace deleted these license keys on {at(NOW + DAY)}. There is nothing to "
            "reset."
        )

    def test_come_after_a_change_of_plan(self, license: License) -> None:
        Subscription.objects.update(plan=Plan.objects.get(code="smb-yearly"))
        assert refusal(lambda: after_reset(License.objects.get())).sentence == (
            "The plan of this subscription has changed since the license keys were generated. "
            "Delete them and generate new ones to get keys of the new plan."
        )

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"state": State.PENDING, "activated_at": None}, "is pending"),
            ({"state": State.SUSPENDED}, "is suspended"),
            ({"state": State.ENDED}, "has ended"),
            ({"ends_at": LATER}, "has ended"),
        ],
    )
    def test_name_the_state(self, license: License, change: dict[str, Any], word: str) -> None:
        Subscription.objects.update(**change)
        assert refusal(lambda: after_reset(License.objects.get())).sentence == (
            f"This subscription {word}. License keys are reset on active subscriptions only."
        )

    def test_come_without_an_active_signing_key(self, license: License) -> None:
        SigningKey.objects.update(state="passive")
        assert refusal(lambda: after_reset(license)).sentence == (
            "No signing key is active. An operator must activate one before license keys can be "
            "generated."
        )

    def test_come_when_the_certificate_would_end_first(self, license: License) -> None:
        keys.activate(keys.create(now=LATER - 1085 * DAY))
        assert refusal(lambda: after_reset(license)).sentence == (
            "The certificate of the signing key ends before this license would. An operator must "
            "create and activate a new signing key."
        )


class TestWhatChangesMeanwhile:
    def test_is_in_the_key_when_it_is_the_end_date(self, license: License) -> None:
        with meanwhile(lambda: Subscription.objects.update(ends_at=LATER + DAY)):
            new = after_reset(License.objects.get())
        assert new.expires_at == (LATER + DAY).replace(microsecond=0)

    def test_signs_it_when_it_is_a_signing_key(self, license: License, old: LicenseKey) -> None:
        successor = keys.create()
        with meanwhile(lambda: keys.activate(successor)):
            new = after_reset(license)
        assert opened(new.token)[0]["kid"] == successor.kid
        assert result(old, LATER) == Result.REPLACED


def test_a_failure_half_way_leaves_the_old_key(license: License, old: LicenseKey) -> None:
    with broken_log():
        after_reset(license)
    assert result(old, LATER) == "valid"


def test_a_reset_needs_no_usage_that_the_plan_still_offers(license: License) -> None:
    Plan.objects.filter(pk=license.plan_id).update(edition="community", billing_period="community")
    assert License.objects.get().usage == Usage.ORGANIZATIONAL
    assert result(after_reset(License.objects.get()), LATER) == "valid"
