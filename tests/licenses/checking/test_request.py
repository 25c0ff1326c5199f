"""What a terminal's request, a file or the portal says beside the key: member by member."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from licenses.checking.check import check, expected_from_file, expected_from_terminal
from licenses.checking.results import Result
from licenses.models import License, LicenseKey, SigningKey, Slot
from tests.support.factories import make_license, make_tenant

pytestmark = pytest.mark.django_db

OTHER = "11111111-2222-4333-8444-555555555555"
ORDER = [
    ("issuer", Result.ISSUER_MISMATCH),
    ("consumer_tenant_id", Result.TENANT_MISMATCH),
    ("subject", Result.SUBJECT_MISMATCH),
    ("authorized_party", Result.PARTY_MISMATCH),
    ("broker_id", Result.PROVIDER_MISMATCH),
    ("audience", Result.AUDIENCE_MISMATCH),
    ("authorized_application_id", Result.APPLICATION_NOT_AUTHORIZED),
    ("key_type", Result.KEY_TYPE_MISMATCH),
]
"""Members in the order of their checks, with what a wrong one gets."""


@pytest.fixture
def license(signing_key: SigningKey) -> License:
    return make_license(holder_name="Zoë", signing_key=signing_key)


@pytest.fixture
def key(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


@pytest.fixture
def request_body(license: License) -> dict[str, str | None]:
    """What a terminal of 2022-09 sends for the primary key."""
    return {
        "key_type": "primary_key",
        "subject": str(license.subscription_id),
        "consumer_tenant_id": str(license.tenant_id),
        "authorized_party": "urn:oneimlx:cli",
        "authorized_application_id": str(license.authorized_application_id),
        "issuer": "https://api.perpetualintelligence.com",
        "audience": "Zoë",
        "broker_id": "urn:oneimlx:lic:pvdr:pi",
        "provider_id": None,
    }


def result(key: LicenseKey, expected: dict[str, str | None]) -> Result:
    return check(key.token or "", expected=expected).result


class TestEachMember:
    def test_all_of_them_agree(self, key: LicenseKey, request_body: dict[str, Any]) -> None:
        assert result(key, request_body) == Result.VALID

    @pytest.mark.parametrize(("name", "mismatch"), ORDER)
    @pytest.mark.parametrize("value", ["", OTHER, "primary", "\x00", "\ud800", "{0}", "x" * 10**6])
    def test_a_different_one_is_its_mismatch(
        self,
        key: LicenseKey,
        request_body: dict[str, Any],
        name: str,
        mismatch: Result,
        value: str,
    ) -> None:
        verdict = check(key.token or "", expected=request_body | {name: value})
        assert verdict.result == mismatch
        assert not set("{}") & set(verdict.description)
        verdict.description.encode()

    @pytest.mark.parametrize(("name", "mismatch"), ORDER)
    def test_an_absent_one_is_its_mismatch_but_for_the_audience(
        self, key: LicenseKey, request_body: dict[str, Any], name: str, mismatch: Result
    ) -> None:
        wanted = Result.VALID if name == "audience" else mismatch
        assert result(key, request_body | {name: None}) == wanted

    @pytest.mark.parametrize("change", [str.upper, lambda v: v + " ", lambda v: " " + v])
    @pytest.mark.parametrize(("name", "mismatch"), ORDER)
    def test_each_is_compared_exactly(
        self,
        key: LicenseKey,
        request_body: dict[str, Any],
        name: str,
        mismatch: Result,
        change: Any,
    ) -> None:
        changed = change(request_body[name])
        assert changed != request_body[name]
        assert result(key, request_body | {name: changed}) == mismatch

    @pytest.mark.parametrize("name", [name for name, _ in ORDER])
    def test_one_that_is_not_compared_is_skipped(
        self, key: LicenseKey, request_body: dict[str, Any], name: str
    ) -> None:
        del request_body[name]
        del request_body["provider_id"]
        assert result(key, request_body) == Result.VALID

    def test_they_are_compared_in_the_order_of_the_table(
        self, key: LicenseKey, request_body: dict[str, Any]
    ) -> None:
        wrong: dict[str, str | None] = request_body | {name: OTHER for name, _ in ORDER}
        found = []
        for name, _ in ORDER:
            found.append(result(key, wrong))
            wrong[name] = request_body[name]
        assert found == [mismatch for _, mismatch in ORDER]
        assert result(key, wrong) == Result.VALID

    def test_the_slot_comes_after_the_record(
        self, key: LicenseKey, request_body: dict[str, Any]
    ) -> None:
        LicenseKey.objects.filter(pk=key.pk).delete()
        assert result(key, request_body | {"key_type": None}) == Result.UNKNOWN

    def test_the_slot_comes_before_the_state(
        self, key: LicenseKey, request_body: dict[str, Any]
    ) -> None:
        LicenseKey.objects.filter(pk=key.pk).update(revoked_at=key.issued_at)
        assert result(key, request_body) == Result.REVOKED
        wrong = request_body | {"key_type": "secondary_key"}
        assert result(key, wrong) == Result.KEY_TYPE_MISMATCH


class TestProvider:
    PI = "urn:oneimlx:lic:pvdr:pi"

    @pytest.mark.parametrize(
        ("broker", "provider", "wanted"),
        [
            (PI, None, Result.VALID),
            (None, PI, Result.VALID),
            (PI, PI, Result.VALID),
            (None, None, Result.PROVIDER_MISMATCH),
            (PI, OTHER, Result.PROVIDER_MISMATCH),
            (OTHER, PI, Result.PROVIDER_MISMATCH),
            (OTHER, None, Result.PROVIDER_MISMATCH),
            ("", PI, Result.PROVIDER_MISMATCH),
        ],
    )
    def test_one_is_given_and_all_given_agree(
        self, key: LicenseKey, broker: str | None, provider: str | None, wanted: Result
    ) -> None:
        assert result(key, {"broker_id": broker, "provider_id": provider}) == wanted


class TestAudience:
    HOSTS = (
        "https://login.microsoftonline.com",
        "https://perpetualintelligenceb2c.b2clogin.com",
        "https://login.perpetualintelligence.com",
    )

    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize("host", HOSTS)
    def test_the_forms_of_the_generations_agree(
        self, key: LicenseKey, host: str, slash: str
    ) -> None:
        audience = f"{host}/{key.tenant_id}/v2.0{slash}"
        assert result(key, {"audience": audience}) == Result.VALID

    @pytest.mark.parametrize(
        "form",
        [
            "http://login.microsoftonline.com/{tid}/v2.0",
            "https://login.microsoftonline.com/{tid}/v2.0//",
            "https://login.microsoftonline.com/{tid}/v2.0?",
            "https://login.microsoftonline.com/{tid}",
            "https://login.microsoftonline.com.evil.example/{tid}/v2.0",
            "https://LOGIN.microsoftonline.com/{tid}/v2.0",
            "https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0",
            "https://login.microsoftonline.com/common/v2.0",
            "Zoe\u0308",
            "Zoë/",
            "{tid}",
        ],
    )
    def test_others_do_not(self, key: LicenseKey, form: str) -> None:
        audience = form.replace("{tid}", str(key.tenant_id))
        assert result(key, {"audience": audience}) == Result.AUDIENCE_MISMATCH


class TestApplication:
    @pytest.mark.parametrize(
        ("given", "echoed"),
        [
            (OTHER, OTHER),
            ("App.1_x:y-z", "App.1_x:y-z"),
            ("a" * 64, "a" * 64),
            ("a" * 65, ""),
            ("", ""),
            (None, ""),
            ("a b", ""),
            ("a\n", ""),
            ("{args}", ""),
            ("<b>", ""),
            ("é", ""),
            ("\ud800", ""),
            ("\x00", ""),
        ],
    )
    def test_is_echoed_only_when_it_is_harmless(
        self, key: LicenseKey, given: str | None, echoed: str
    ) -> None:
        verdict = check(key.token or "", expected={"authorized_application_id": given})
        assert verdict.result == Result.APPLICATION_NOT_AUTHORIZED
        assert verdict.description == (
            f"The application is not authorized. application_id={echoed}"
        )


class TestTenant:
    def test_a_pasted_key_of_another_tenant_tells_nothing(self, key: LicenseKey) -> None:
        verdict = check(key.token or "", expected={"consumer_tenant_id": str(make_tenant().pk)})
        assert (verdict.result, verdict.key) == (Result.TENANT_MISMATCH, None)

    def test_not_even_that_it_was_revoked(self, key: LicenseKey) -> None:
        LicenseKey.objects.filter(pk=key.pk).update(revoked_at=key.issued_at)
        assert result(key, {"consumer_tenant_id": str(uuid4())}) == Result.TENANT_MISMATCH

    def test_of_another_mismatch_the_record_is_known(self, key: LicenseKey) -> None:
        verdict = check(key.token or "", expected={"subject": OTHER})
        assert verdict.key is not None
        assert (verdict.result, verdict.key.pk) == (Result.SUBJECT_MISMATCH, key.pk)


class TestExpectedFromTerminal:
    def test_has_every_name_and_nothing_else(self) -> None:
        body = {"key": "x", "subject": "s", "consumer_object_id": "o", "custom": "c"}
        assert expected_from_terminal(body) == {
            "key_type": None,
            "subject": "s",
            "consumer_tenant_id": None,
            "authorized_party": None,
            "authorized_application_id": None,
            "issuer": None,
            "audience": None,
            "broker_id": None,
            "provider_id": None,
        }


class TestExpectedFromFile:
    def members(self, license: License) -> dict[str, Any]:
        return {
            "key_type": "primary_key",
            "subject": str(license.subscription_id),
            "consumer_tenant_id": str(license.tenant_id),
            "authorized_party": "urn:oneimlx:cli",
            "broker_id": "urn:oneimlx:lic:pvdr:pi",
            "provider_id": "urn:oneimlx:lic:pvdr:pi",
            "audience": "anything",
            "authorized_application_ids": [str(license.authorized_application_id)],
        }

    def test_agrees_with_a_file_of_ours(self, license: License, key: LicenseKey) -> None:
        expected = expected_from_file(self.members(license))
        assert set(expected) == {
            "key_type",
            "subject",
            "consumer_tenant_id",
            "authorized_party",
            "broker_id",
            "provider_id",
            "authorized_application_id",
        }
        assert result(key, expected) == Result.VALID

    @pytest.mark.parametrize(
        ("name", "mismatch"),
        [pair for pair in ORDER if pair[0] not in {"issuer", "audience"}],
    )
    @pytest.mark.parametrize("value", [OTHER, None, 5, True, [], {}, [5]])
    def test_a_changed_member_is_its_mismatch(
        self, license: License, key: LicenseKey, name: str, mismatch: Result, value: object
    ) -> None:
        members = self.members(license)
        if name == "broker_id":
            members["provider_id"] = value
        if name == "authorized_application_id":
            name, value = "authorized_application_ids", [value]
        assert result(key, expected_from_file(members | {name: value})) == mismatch

    @pytest.mark.parametrize("value", [None, "", OTHER, [], {}])
    def test_applications_that_are_no_list_are_a_mismatch(
        self, license: License, key: LicenseKey, value: object
    ) -> None:
        members = self.members(license) | {"authorized_application_ids": value}
        assert result(key, expected_from_file(members)) == Result.APPLICATION_NOT_AUTHORIZED

    def test_without_applications_none_is_compared(self, license: License) -> None:
        members = self.members(license)
        del members["authorized_application_ids"]
        assert "authorized_application_id" not in expected_from_file(members)

    @pytest.mark.parametrize("own", [True, False])
    def test_a_file_of_another_tenant_is_a_mismatch(
        self, license: License, key: LicenseKey, own: bool
    ) -> None:
        tenant_id = license.tenant_id if own else UUID(OTHER)
        expected = expected_from_file(self.members(license), tenant_id=tenant_id)
        assert result(key, expected) == (Result.VALID if own else Result.TENANT_MISMATCH)

    def test_a_file_that_names_the_own_tenant_does_not_hide_a_foreign_key(
        self, license: License, key: LicenseKey
    ) -> None:
        members = self.members(license) | {"consumer_tenant_id": OTHER}
        expected = expected_from_file(members, tenant_id=UUID(OTHER))
        assert result(key, expected) == Result.TENANT_MISMATCH
