"""The read in plain SQL tells what the rows say."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from licenses import keys, tokens
from licenses.checking import lookup
from licenses.checking.check import check
from licenses.checking.lookup import Records, StoredKey
from licenses.checking.results import Result
from licenses.models import KeyState, LicenseKey, SigningKey, Slot
from subscriptions.models import State, Subscription
from tests.support.factories import make_key, make_license

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 6, 1, 12, 30, 15, 123_456, tzinfo=UTC)
WHOLE = MOMENT.replace(microsecond=0)


@pytest.fixture
def key(signing_key: SigningKey) -> LicenseKey:
    return make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)


def read(key: LicenseKey) -> Records | None:
    parsed = tokens.parse(key.token or "")
    return lookup.records(lookup.fetch_on_thread(parsed.jti, parsed.kid)[0])


def by_the_orm(key: LicenseKey) -> Records:
    key = LicenseKey.objects.select_related("signing_key", "license__subscription").get(pk=key.pk)
    subscription = key.license.subscription
    stored = StoredKey(
        pk=key.pk,
        tenant_id=key.tenant_id,
        token_sha256=key.token_sha256,
        slot=Slot(key.slot),
        state=KeyState(key.state),
        accepted_until=key.accepted_until,
        is_revoked=key.revoked_at is not None,
        subscription_state=State(subscription.state),
        subscription_ends_at=subscription.ends_at,
    )
    verifies = key.signing_key.state != "disabled"
    return Records(verifies, bytes(key.signing_key.certificate), stored)


class TestRead:
    @pytest.mark.parametrize("state", ["active", "passive", "disabled"])
    def test_signing_key(self, key: LicenseKey, state: str) -> None:
        SigningKey.objects.update(state=state)
        assert read(key) == by_the_orm(key)

    @pytest.mark.parametrize("ends_at", [None, MOMENT, WHOLE])
    @pytest.mark.parametrize("state", State.values)
    def test_subscription(self, key: LicenseKey, state: str, ends_at: datetime | None) -> None:
        activated_at = None if state == "pending" else MOMENT
        Subscription.objects.update(
            state=state,
            activated_at=activated_at,
            starts_at=MOMENT - timedelta(days=1),
            ends_at=ends_at,
        )
        assert read(key) == by_the_orm(key)

    @pytest.mark.parametrize("revoked_at", [None, MOMENT])
    @pytest.mark.parametrize("slot", Slot)
    @pytest.mark.parametrize("state", ["superseded", "replaced", "current"])
    def test_key(
        self, key: LicenseKey, slot: Slot, state: str, revoked_at: datetime | None
    ) -> None:
        key.license.keys.all().delete()
        fields = {} if state == "current" else {"replaced_at": MOMENT}
        if state == "superseded":
            fields["accepted_until"] = MOMENT
        made = make_key(
            license=key.license, slot=slot, state=state, revoked_at=revoked_at, **fields
        )
        assert read(made) == by_the_orm(made)

    def test_key_that_was_deleted(self, key: LicenseKey) -> None:
        LicenseKey.objects.update(state="deleted", token=None, deleted_at=MOMENT)
        assert read(key) == by_the_orm(key)

    def test_times_are_aware_and_in_utc(self, key: LicenseKey) -> None:
        Subscription.objects.update(starts_at=MOMENT - timedelta(days=1), ends_at=MOMENT)
        records = read(key)
        assert records is not None
        assert records.key is not None
        assert records.key.subscription_ends_at is not None
        assert records.key.subscription_ends_at.isoformat() == "2026-06-01T12:30:15.123456+00:00"

    def test_without_a_record_the_signing_key_is_read_all_the_same(self, key: LicenseKey) -> None:
        LicenseKey.objects.filter(pk=key.pk).delete()
        certificate = bytes(key.signing_key.certificate)
        assert read(key) == Records(verifies=True, certificate=certificate, key=None)

    def test_without_its_signing_key_nothing_is_read(self, key: LicenseKey) -> None:
        SigningKey.objects.update(kid="x" * 43)
        assert read(key) is None

    @pytest.mark.postgres
    def test_is_planned_once_for_a_connection(self, key: LicenseKey) -> None:
        for _ in range(10):
            read(key)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s",
                ["%FROM licenses_signingkey%"],
            )
            assert cursor.fetchone() == (1,)


def test_another_certificate_under_its_key_id_does_not_verify(key: LicenseKey) -> None:
    token = key.token or ""
    assert check(token, expected={}).result == Result.VALID
    SigningKey.objects.update(certificate=bytes(keys.create().certificate))
    SigningKey.objects.exclude(pk=key.signing_key_id).delete()
    assert check(token, expected={}).result == Result.SIGNATURE_INVALID
