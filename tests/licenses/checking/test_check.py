"""The check against a truth table: every state of everything, at every moment that matters."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from django.db import connection

from licenses import keys, tokens
from licenses.checking.check import Outcome, check
from licenses.checking.results import PASSING, Result, Step
from licenses.models import LicenseKey, SigningKey, SigningKeyState, Slot
from subscriptions.models import State, Subscription
from tests.support.factories import make_key, make_license, make_signing_key, make_subscription

pytestmark = pytest.mark.django_db

ISSUED = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXPIRES = ISSUED + timedelta(days=31)
OVERLAP_ENDS = ISSUED + timedelta(days=10)
SKEW = timedelta(seconds=300)
TICK = timedelta(microseconds=1)

MOMENTS = {
    "a tick before nbf - 300 s": ISSUED - SKEW - TICK,
    "at nbf - 300 s": ISSUED - SKEW,
    "after 5 days": ISSUED + timedelta(days=5),
    "a tick before the overlap ends": OVERLAP_ENDS - TICK,
    "when the overlap ends": OVERLAP_ENDS,
    "a tick before exp": EXPIRES - TICK,
    "at exp": EXPIRES,
    "a tick before exp + 300 s": EXPIRES + SKEW - TICK,
    "at exp + 300 s": EXPIRES + SKEW,
    "a year later": EXPIRES + timedelta(days=365),
}
ENDS = {
    "never": None,
    "within the overlap": ISSUED + timedelta(days=7),
    "with the overlap": OVERLAP_ENDS,
    "long after": EXPIRES + timedelta(days=900),
}
KEYS = ["current", "superseded", "superseded until exp", "replaced", "deleted"]

# The oracle: every word that is true of a case, and of these the first in the contract's order.
ORDER = [
    "signing_key_unknown",
    "deleted",
    "revoked",
    "replaced",
    "subscription_pending",
    "subscription_suspended",
    "subscription_ended",
    "not_yet_valid",
    "expired",
]


@dataclass(frozen=True)
class Case:
    signing: str
    key: str
    revoked: bool
    subscription: str
    ends: str
    moment: str

    def true_words(self) -> Iterator[str]:
        now, ends = MOMENTS[self.moment], ENDS[self.ends]
        if self.signing == "disabled":
            yield "signing_key_unknown"
        if self.key in {"deleted", "replaced"}:
            yield self.key
        if self.key == "superseded" and now >= OVERLAP_ENDS:
            yield "replaced"
        if self.key == "superseded until exp" and now >= EXPIRES:
            yield "replaced"
        if self.revoked:
            yield "revoked"
        if self.subscription == "ended" or (ends is not None and ends <= now):
            yield "subscription_ended"
        elif self.subscription != "active":
            yield f"subscription_{self.subscription}"
        if now + SKEW < ISSUED:
            yield "not_yet_valid"
        if now - SKEW >= EXPIRES:
            yield "expired"

    def answer(self) -> str:
        words = sorted(self.true_words(), key=ORDER.index)
        return words[0] if words else self.passing_word()

    def passing_word(self) -> str:
        return "superseded" if self.key.startswith("superseded") else "valid"

    def accepted_until(self) -> datetime | None:
        if self.answer() != "superseded":
            return None
        return OVERLAP_ENDS if self.key == "superseded" else EXPIRES


def columns(key: str, token: str, *, revoked: bool) -> dict[str, object]:
    """Return what the row of a key in that state holds."""
    values: dict[str, object] = {
        "state": key.partition(" ")[0],
        "token": token,
        "accepted_until": None,
        "replaced_at": None,
        "deleted_at": None,
        "revoked_at": ISSUED if revoked else None,
    }
    if key.startswith("superseded"):
        values["accepted_until"] = OVERLAP_ENDS if key == "superseded" else EXPIRES
    if key not in {"current", "deleted"}:
        values["replaced_at"] = ISSUED
    if key == "deleted":
        values |= {"token": None, "deleted_at": ISSUED}
    return values


@pytest.fixture
def key(db: None) -> LicenseKey:
    """The primary key of a license of June 2026."""
    signing_key = make_signing_key(created_at=ISSUED - timedelta(days=30))
    subscription = make_subscription(starts_at=ISSUED - timedelta(days=30))
    license = make_license(subscription=subscription, issued_at=ISSUED, signing_key=signing_key)
    return license.keys.get(slot=Slot.PRIMARY)


@pytest.mark.parametrize("subscription", ["pending", "active", "suspended", "ended"])
@pytest.mark.parametrize("signing", ["active", "passive", "disabled"])
def test_truth_table(key: LicenseKey, signing: str, subscription: str) -> None:
    token, stored = key.token or "", LicenseKey.objects.filter(pk=key.pk)
    SigningKey.objects.update(state=signing)
    found, wanted = {}, {}
    for key_state, revoked, ends in product(KEYS, (False, True), ENDS):
        stored.update(**columns(key_state, token, revoked=revoked))
        Subscription.objects.update(
            state=subscription,
            ends_at=ENDS[ends],
            activated_at=None if subscription == "pending" else ISSUED,
        )
        for moment, now in MOMENTS.items():
            case = Case(signing, key_state, revoked, subscription, ends, moment)
            verdict = check(token, expected={}, now=now)
            told = None if verdict.key is None else verdict.key.pk
            found[case] = (verdict.result.value, verdict.accepted_until, told, verdict.checked_at)
            told = None if signing == "disabled" else key.pk
            wanted[case] = (case.answer(), case.accepted_until(), told, now)
    assert len(found) == 5 * 2 * 4 * 10
    assert found == wanted


def test_the_truth_table_knows_every_word_that_needs_no_request() -> None:
    """Control: the cases above are not all alike."""
    cases = [
        Case(*values)
        for values in product(
            ["active", "passive", "disabled"], KEYS, (False, True), State.values, ENDS, MOMENTS
        )
    ]
    assert {case.answer() for case in cases} == {"valid", "superseded", *ORDER}


class TestReads:
    @pytest.mark.parametrize("state", SigningKeyState.values)
    def test_the_state_of_the_signing_key_comes_with_it(self, key: LicenseKey, state: str) -> None:
        assert check(key.token or "", expected={}, now=ISSUED).result == Result.VALID
        SigningKey.objects.update(state=state)
        verdict = check(key.token or "", expected={}, now=ISSUED)
        assert verdict.passes is (state != "disabled")

    @pytest.mark.sqlite
    def test_a_stored_key_takes_one_and_one_without_record_too(self, key: LicenseKey) -> None:
        token = key.token or ""
        assert statements(lambda: check(token, expected={}, now=ISSUED)) == 1
        LicenseKey.objects.filter(pk=key.pk).delete()
        assert statements(lambda: check(token, expected={}, now=ISSUED)) == 1

    @pytest.mark.sqlite
    def test_a_malformed_one_takes_none(self) -> None:
        assert statements(lambda: check("x", expected={})) == 0


def statements(act: Callable[[], object]) -> int:
    """Return how many statements the database runs."""
    run: list[str] = []
    connection.connection.set_trace_callback(run.append)
    act()
    connection.connection.set_trace_callback(None)
    return len(run)


class TestSigningKeyOfAnother:
    """The `kid` decides, not the row that the claimed `jti` leads to."""

    def signed_by(self, other: SigningKey, key: LicenseKey) -> str:
        return keys.sign(other, tokens.parse(key.token or "").claims)

    def test_a_good_signature_of_another_key_of_ours_has_no_record(self, key: LicenseKey) -> None:
        other = keys.create(now=ISSUED - timedelta(days=30))
        verdict = check(self.signed_by(other, key), expected={}, now=ISSUED)
        assert (verdict.result, verdict.key) == (Result.UNKNOWN, None)

    def test_a_disabled_one_is_unknown_whatever_the_row_says(self, key: LicenseKey) -> None:
        other = keys.create(now=ISSUED - timedelta(days=30))
        token = self.signed_by(other, key)
        keys.disable(other)
        verdict = check(token, expected={}, now=ISSUED)
        assert (verdict.result, verdict.key) == (Result.SIGNING_KEY_UNKNOWN, None)


class TestNothingIsToldBeforeTheSignature:
    @pytest.mark.parametrize("state", ["revoked", "deleted"])
    def test_a_forged_token_with_a_stored_jti(self, key: LicenseKey, state: str) -> None:
        token = key.token or ""
        forged = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBA")
        stored = columns("deleted" if state == "deleted" else "current", token, revoked=True)
        LicenseKey.objects.filter(pk=key.pk).update(**stored)
        verdict = check(forged, expected={"subject": "somebody else's"}, now=ISSUED)
        assert verdict.result == Result.SIGNATURE_INVALID
        assert verdict.key is None
        assert verdict.description == "The signature of the license key is not valid."


def test_both_slots_are_judged_alone(key: LicenseKey) -> None:
    other = key.license.keys.get(slot=Slot.SECONDARY)
    LicenseKey.objects.filter(pk=other.pk).update(revoked_at=ISSUED)
    results = [check(k.token or "", expected={}, now=ISSUED).result for k in (key, other)]
    assert results == [Result.VALID, Result.REVOKED]


def test_a_superseded_key_says_until_when(key: LicenseKey) -> None:
    LicenseKey.objects.filter(pk=key.pk).update(
        **columns("superseded", key.token or "", revoked=False)
    )
    make_key(license=key.license, issued_at=ISSUED, signing_key=key.signing_key)
    verdict = check(key.token or "", expected={}, now=ISSUED)
    assert verdict.description == (
        "The license key was replaced by a reset and is accepted until 2026-06-11 12:00:00 UTC."
    )


def test_now_is_the_present_moment(key: LicenseKey) -> None:
    before = datetime.now(UTC)
    verdict = check(key.token or "", expected={})
    assert before <= verdict.checked_at <= datetime.now(UTC)


class TestSteps:
    def outcomes(self, token: str, expected: dict[str, str | None]) -> list[str]:
        return [outcome.value for _, outcome in check(token, expected=expected, now=ISSUED).steps()]

    def test_have_the_titles_of_the_contract_in_its_order(self, key: LicenseKey) -> None:
        titles = [title for title, _ in check(key.token or "", expected={}).steps()]
        assert titles == [
            "Form",
            "Signature",
            "Request",
            "Record",
            "Slot",
            "License key",
            "Subscription",
            "Time",
        ]

    def test_without_a_request_two_are_skipped(self, key: LicenseKey) -> None:
        passed, skipped = "passed", "skipped"
        assert self.outcomes(key.token or "", {}) == [
            passed, passed, skipped, passed, skipped, passed, passed, passed,
        ]  # fmt: skip
        tenant = {"consumer_tenant_id": str(key.tenant_id)}
        assert self.outcomes(key.token or "", tenant)[2] == passed
        slot = {"key_type": "primary_key"}
        assert self.outcomes(key.token or "", slot)[2:5] == [skipped, passed, passed]

    def test_after_a_failure_none_is_reached(self, key: LicenseKey) -> None:
        assert self.outcomes("x", {}) == ["failed"] + ["not reached"] * 7
        assert self.outcomes(key.token or "", {"key_type": "secondary_key"}) == [
            "passed", "passed", "skipped", "passed", "failed", *["not reached"] * 3,
        ]  # fmt: skip


class TestVocabulary:
    def test_has_the_words_of_the_contract_in_its_order(self) -> None:
        assert Result.values == [
            "valid",
            "superseded",
            "malformed",
            "signing_key_unknown",
            "signature_invalid",
            "issuer_mismatch",
            "tenant_mismatch",
            "subject_mismatch",
            "party_mismatch",
            "provider_mismatch",
            "audience_mismatch",
            "application_not_authorized",
            "unknown",
            "key_type_mismatch",
            "deleted",
            "revoked",
            "replaced",
            "subscription_pending",
            "subscription_suspended",
            "subscription_ended",
            "not_yet_valid",
            "expired",
        ]

    def test_two_of_them_pass(self) -> None:
        assert [r for r in Result if r.passes] == [Result.VALID, Result.SUPERSEDED]
        assert {Result.VALID, Result.SUPERSEDED} == PASSING

    def test_the_others_follow_the_order_of_the_steps(self) -> None:
        steps = [r.step for r in Result if r.step is not None]
        assert len(steps) == len(Result) - len(PASSING)
        assert steps == sorted(steps, key=list(Step).index)
        assert set(steps) == set(Step)

    @pytest.mark.parametrize("result", Result)
    def test_each_has_a_sentence_and_an_advice(self, result: Result) -> None:
        for text in (result.sentence, result.advice):
            assert text.endswith(".")
            assert not set("{}") & set(text)

    def test_outcomes_are_words_for_people(self) -> None:
        assert [o.value for o in Outcome] == ["passed", "failed", "skipped", "not reached"]
