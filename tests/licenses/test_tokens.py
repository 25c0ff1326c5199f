"""Strict parsing: what malformed tokens get, and what license keys say."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from licenses import tokens
from licenses.checking.check import check
from licenses.checking.results import Result
from licenses.models import KeyState, License, LicenseKey, SigningKey, Slot
from portal.core.refusal import Refused
from tests.support.factories import (
    CUSTOM_CLAIMS,
    TYPED_CLAIMS,
    make_custom_plan,
    make_license,
    make_subscription,
)
from tests.support.forge import Forger
from tests.support.malformed import corpus

pytestmark = pytest.mark.django_db

CORPUS = corpus()


class TestMalformedTokens:
    def test_the_corpus_is_large_and_names_each_case_once(self) -> None:
        assert len(CORPUS) >= 150
        assert len({name for name, _, _ in CORPUS}) == len(CORPUS)

    @pytest.mark.parametrize(
        ("result", "forge"),
        [pytest.param(result, forge, id=ascii(name)) for name, result, forge in CORPUS],
    )
    def test_each_gets_its_result_and_no_crash(
        self, forger: Forger, result: Result, forge: Callable[[Forger], str]
    ) -> None:
        verdict = check(forge(forger), expected={})
        assert verdict.result == result
        assert verdict.passes is False
        assert verdict.key is None
        assert not set("{}") & set(verdict.description)
        verdict.description.encode()
        assert (verdict.parsed is None) == (result == Result.MALFORMED)

    def test_the_forger_can_forge_a_good_token(self, forger: Forger) -> None:
        """Control: what he signs unchanged has a good signature, so the corpus tests more."""
        forged = forger.token()
        LicenseKey.objects.filter(jti=forger.claims["jti"]).update(
            token=forged, token_sha256=tokens.sha256_of(forged)
        )
        assert check(forged, expected={}).result == Result.VALID


class TestParse:
    def test_gives_the_parts_of_a_stored_key(self, signing_key: SigningKey) -> None:
        stored = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
        parsed = tokens.parse(stored.token)
        assert parsed.header == {"alg": "RS256", "typ": "JWT", "kid": signing_key.kid}
        assert parsed.kid == signing_key.kid
        assert parsed.jti == stored.jti
        assert parsed.sha256 == stored.token_sha256
        assert parsed.iat == parsed.nbf == int(stored.issued_at.timestamp())
        assert parsed.exp == int(stored.expires_at.timestamp())
        assert parsed.signing_input.decode() == stored.token.rpartition(".")[0]

    def test_takes_the_first_and_the_last_second_that_there_is(self, forger: Forger) -> None:
        parsed = tokens.parse(forger.token(claims={"iat": 0, "nbf": 0, "exp": 253_402_300_799}))
        assert (parsed.iat, parsed.nbf, parsed.exp) == (0, 0, 253_402_300_799)

    def test_never_repeats_text_of_the_token_in_its_reason(self, forger: Forger) -> None:
        with pytest.raises(tokens.Malformed) as caught:
            tokens.parse(forger.token(header={"alg": "{secret}"}))
        assert caught.value.reason == "Its algorithm is not RS256."


class TestBase64url:
    @pytest.mark.parametrize("length", range(8))
    def test_comes_back_as_it_went(self, length: int) -> None:
        data = bytes(range(250, 250 + min(length, 6))) + b"\x00" * max(0, length - 6)
        assert tokens.from_base64url(tokens.base64url(data)) == data

    @pytest.mark.parametrize("text", ["A", "AB", "AA=", "AA==", "AAB", "A+", "+/+/", "A A", "é"])
    def test_has_one_spelling_of_each_value(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 (of binascii or of ours)
            tokens.from_base64url(text)


class TestLicenseClaims:
    JTI = uuid.UUID("0b1c2d3e-4f50-4162-9384-a5b6c7d8e9f0")
    ISSUED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def claims(self, license: License) -> dict[str, object]:
        return tokens.license_claims(
            license=license,
            jti=self.JTI,
            issued_at=self.ISSUED,
            expires_at=self.ISSUED + timedelta(days=31),
            status_list_uri=tokens.status_list_uri(7),
            status_index=4711,
        )

    def test_are_those_of_the_contract(self, signing_key: SigningKey) -> None:
        license = make_license(holder_name="Zoë & Söhne", signing_key=signing_key)
        tid = str(license.tenant_id)
        assert self.claims(license) == {
            "iss": "https://api.perpetualintelligence.com",
            "aud": ["Zoë & Söhne", f"https://login.perpetualintelligence.com/{tid}/v2.0"],
            "name": "Zoë & Söhne",
            "sub": str(license.subscription_id),
            "tid": tid,
            "tenant_ctry": "USA",
            "azp": "urn:oneimlx:cli",
            "acr": "urn:oneimlx:lic:plan:smb urn:oneimlx:lic:usage:org urn:oneimlx:lic:pvdr:pi",
            "auth_apps": str(license.authorized_application_id),
            "jti": "0b1c2d3e-4f50-4162-9384-a5b6c7d8e9f0",
            "iat": 1767323045,
            "nbf": 1767323045,
            "exp": 1767323045 + 31 * 86_400,
            "status": {
                "status_list": {"idx": 4711, "uri": "http://localhost:8000/public/status/7"}
            },
        }

    def test_of_a_custom_plan_are_flat_beside_the_others(self, signing_key: SigningKey) -> None:
        plain = make_license(signing_key=signing_key)
        custom = make_license(
            subscription=make_subscription(plan=make_custom_plan()), signing_key=signing_key
        )
        claims = self.claims(custom)
        assert claims.keys() - self.claims(plain).keys() == CUSTOM_CLAIMS.keys()
        assert {name: claims[name] for name in CUSTOM_CLAIMS} == CUSTOM_CLAIMS

    def test_of_a_custom_plan_frozen_before_are_completed(self, signing_key: SigningKey) -> None:
        plan = make_custom_plan(custom_claims=TYPED_CLAIMS)
        license = make_license(subscription=make_subscription(plan=plan), signing_key=signing_key)
        assert license.custom_claims == TYPED_CLAIMS
        claims = self.claims(license)
        assert {name: claims[name] for name in CUSTOM_CLAIMS} == CUSTOM_CLAIMS

    @pytest.mark.parametrize("change", [{"exp": 1}, {"sub": "x"}, {"currency": 5}])
    def test_of_a_custom_plan_are_checked_again(
        self, signing_key: SigningKey, change: dict[str, object]
    ) -> None:
        license = make_license(
            subscription=make_subscription(plan=make_custom_plan()), signing_key=signing_key
        )
        license.custom_claims = CUSTOM_CLAIMS | change
        with pytest.raises(Refused, match="custom claims"):
            self.claims(license)

    def test_of_other_plans_are_never_custom(self, signing_key: SigningKey) -> None:
        license = make_license(signing_key=signing_key)
        license.custom_claims = CUSTOM_CLAIMS
        with pytest.raises(Refused, match="Only custom plans have custom claims"):
            self.claims(license)

    def test_want_whole_seconds(self, signing_key: SigningKey) -> None:
        license = make_license(signing_key=signing_key)
        with pytest.raises(ValueError, match="whole seconds"):
            tokens.license_claims(
                license=license,
                jti=self.JTI,
                issued_at=self.ISSUED.replace(microsecond=1),
                expires_at=self.ISSUED + timedelta(days=31),
                status_list_uri="",
                status_index=0,
            )


@pytest.mark.parametrize(
    ("seconds", "days"), [(1, 1), (86_399, 1), (86_400, 1), (86_401, 2), (31 * 86_400, 31)]
)
def test_days_to_expiry_are_rounded_up(seconds: int, days: int) -> None:
    assert tokens.expires_in_days(1_767_323_045, 1_767_323_045 + seconds) == days


def test_a_deleted_key_is_told_apart_by_the_hash_that_stays(signing_key: SigningKey) -> None:
    stored = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
    token = stored.token
    stored.state, stored.token, stored.deleted_at = KeyState.DELETED, None, stored.issued_at
    stored.save()
    assert json.loads(json.dumps(check(token, expected={}).result)) == "deleted"
