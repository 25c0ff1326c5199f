"""The keys service: what it makes is real, and what is weak is refused."""

import base64
import hashlib
import json
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from licenses import keys, tokens
from licenses.models import SigningKey, SigningKeyState
from portal.core.refusal import Refused
from tests.support.races import DEADLINE, race, race_all

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, 0, 654_321, tzinfo=UTC)
CLAIMS = {"iat": 1_772_366_400, "nbf": 1_772_366_400, "exp": 1_772_452_800, "name": "Zoë {x}"}


@pytest.fixture(autouse=True)
def _fresh_caches() -> None:
    keys.clear_cached_keys()


def openssl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = shutil.which("openssl")
    assert command, "these tests need the openssl command line"
    return subprocess.run([command, *arguments], input=data, capture_output=True)


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


class TestCreate:
    def test_makes_a_passive_key_whose_certificate_lives_3_years(self) -> None:
        made = SigningKey.objects.get(pk=keys.create(now=NOW).pk)
        assert made.state == SigningKeyState.PASSIVE
        assert made.bits == 2048
        assert made.created_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
        assert made.valid_from == datetime(2026, 2, 28, 12, tzinfo=UTC)
        assert made.valid_until == datetime(2029, 3, 1, 12, tzinfo=UTC)
        certificate = x509.load_der_x509_certificate(bytes(made.certificate))
        assert certificate.not_valid_before_utc == made.valid_from
        assert certificate.not_valid_after_utc == made.valid_until

    def test_on_a_leap_day_too(self) -> None:
        made = keys.create(now=datetime(2028, 2, 29, tzinfo=UTC))
        assert made.valid_until == datetime(2031, 3, 1, tzinfo=UTC)

    def test_names_the_key_by_its_thumbprint(self) -> None:
        """RFC 7638 3.1 has this key and this thumbprint."""
        n = (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t"
            "Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-6"
            "5YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLy"
            "rdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
            "KnqDKgw"
        )
        key = keys.public_key_from_jwk(
            {"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB", "n": n}
        )
        assert keys.thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        made = keys.create()
        assert made.kid == keys.thumbprint(keys.public_key(bytes(made.certificate)))

    def test_keeps_the_private_key_encrypted(self, settings: Settings) -> None:
        made = keys.create()
        plain = Fernet(settings.KEY_ENCRYPTION_KEYS[0]).decrypt(bytes(made.private_key))
        loaded = serialization.load_der_private_key(plain, password=None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        assert loaded.public_key() == keys.public_key(bytes(made.certificate))
        numbers = loaded.private_numbers()
        assert numbers.public_numbers.e == 65_537
        assert numbers.p.to_bytes(128) not in bytes(made.private_key)


class TestOpenSSL:
    def test_verifies_the_certificate(self, tmp_path: Path) -> None:
        made = keys.create()
        der = write(tmp_path / "certificate.der", bytes(made.certificate))
        pem = str(tmp_path / "certificate.pem")
        assert openssl("x509", "-inform", "DER", "-in", der, "-out", pem).returncode == 0
        verified = openssl("verify", "-x509_strict", "-CAfile", pem, pem)
        assert verified.stdout == f"{pem}: OK\n".encode()
        text = openssl("x509", "-in", pem, "-noout", "-text").stdout.decode()
        assert "Public-Key: (2048 bit)" in text
        assert "Exponent: 65537 (0x10001)" in text
        assert "Signature Algorithm: sha256WithRSAEncryption" in text
        assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text

    def test_verifies_a_signature_and_refuses_a_changed_one(self, tmp_path: Path) -> None:
        made = keys.create(now=NOW)
        parsed = tokens.parse(keys.sign(made, CLAIMS))
        der = write(tmp_path / "certificate.der", bytes(made.certificate))
        pem = openssl("x509", "-inform", "DER", "-in", der, "-noout", "-pubkey").stdout
        public = write(tmp_path / "public.pem", pem)
        signature = write(tmp_path / "signature", parsed.signature)
        verify = ("dgst", "-sha256", "-verify", public, "-signature", signature)
        assert openssl(*verify, data=parsed.signing_input).stdout == b"Verified OK\n"
        assert openssl(*verify, data=parsed.signing_input + b"x").returncode == 1


class TestSign:
    def test_writes_a_header_of_three_members_and_the_claims(self) -> None:
        made = keys.create(now=NOW)
        parsed = tokens.parse(keys.sign(made, CLAIMS))
        assert parsed.header == {"alg": "RS256", "typ": "JWT", "kid": made.kid}
        assert parsed.claims == CLAIMS
        assert keys.verify(made, parsed) is True

    def test_takes_another_type(self) -> None:
        token = keys.sign(keys.create(now=NOW), CLAIMS, typ="statuslist+jwt")
        assert jwt.get_unverified_header(token)["typ"] == "statuslist+jwt"

    def test_is_refused_when_the_certificate_ends_before(self) -> None:
        made = keys.create(now=NOW)
        last = int(made.valid_until.timestamp())
        assert keys.sign(made, CLAIMS | {"exp": last})
        with pytest.raises(Refused, match="ends before this license"):
            keys.sign(made, CLAIMS | {"exp": last + 1})

    def test_is_refused_when_the_certificate_begins_after(self) -> None:
        made = keys.create(now=NOW)
        first = int(made.valid_from.timestamp())
        assert keys.sign(made, CLAIMS | {"iat": first})
        with pytest.raises(Refused, match="certificate"):
            keys.sign(made, CLAIMS | {"iat": first - 1})

    def test_is_refused_with_a_disabled_key(self) -> None:
        with pytest.raises(Refused, match="disabled"):
            keys.sign(keys.disable(keys.create(now=NOW)), CLAIMS)

    def test_is_refused_with_the_private_key_of_another(self) -> None:
        made, other = keys.create(now=NOW), keys.create(now=NOW)
        made.private_key = other.private_key
        with pytest.raises(ValueError, match="does not belong to its certificate"):
            keys.sign(made, CLAIMS)

    def test_verify_refuses_another_key(self) -> None:
        parsed = tokens.parse(keys.sign(keys.create(now=NOW), CLAIMS))
        assert keys.verify(keys.create(now=NOW), parsed) is False


class TestStates:
    def test_one_is_active_and_the_one_before_becomes_passive(self) -> None:
        first, second = keys.activate(keys.create(), now=NOW), keys.create()
        assert keys.active() == first
        keys.activate(second, now=NOW + timedelta(hours=1))
        assert keys.active() == second
        assert dict(SigningKey.objects.values_list("pk", "state")) == {
            first.pk: "passive",
            second.pk: "active",
        }
        assert keys.active().activated_at == NOW + timedelta(hours=1)

    def test_activating_the_active_one_changes_nothing(self) -> None:
        first = keys.activate(keys.create(), now=NOW)
        assert keys.activate(first, now=NOW + timedelta(hours=1)).activated_at == NOW

    def test_the_database_admits_no_second_active_one(self) -> None:
        keys.activate(keys.create())
        with pytest.raises(IntegrityError):
            SigningKey.objects.filter(pk=keys.create().pk).update(state="active")

    def test_the_active_one_is_not_disabled(self) -> None:
        with pytest.raises(Refused, match="Activate its successor first"):
            keys.disable(keys.activate(keys.create()))

    def test_a_stale_object_does_not_disable_the_active_one(self) -> None:
        stale = keys.create()
        keys.activate(SigningKey.objects.get(pk=stale.pk))
        with pytest.raises(Refused, match="Activate its successor first"):
            keys.disable(stale)

    def test_a_disabled_one_stays_disabled(self) -> None:
        disabled = keys.disable(keys.create(), now=NOW)
        assert keys.disable(disabled, now=NOW + timedelta(hours=1)).disabled_at == NOW
        with pytest.raises(Refused, match="cannot be activated"):
            keys.activate(disabled)

    def test_without_an_active_one_there_is_a_sentence(self) -> None:
        with pytest.raises(Refused) as caught:
            keys.active()
        assert caught.value.sentence == (
            "No signing key is active. An operator must activate one before license keys can be "
            "generated."
        )


class TestEnsureActive:
    def test_makes_the_first_one_and_then_finds_it(self) -> None:
        first = keys.ensure_active()
        assert first.state == SigningKeyState.ACTIVE
        assert keys.ensure_active() == first
        assert SigningKey.objects.count() == 1

    def test_does_not_take_an_operators_decision(self) -> None:
        keys.create()
        with pytest.raises(Refused, match="No signing key is active"):
            keys.ensure_active()

    @pytest.mark.django_db(transaction=True)
    def test_two_processes_make_one(self) -> None:
        made = race(keys.ensure_active, n=3)
        assert len({key.pk for key in made}) == 1
        assert SigningKey.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_one_that_another_process_has_not_committed_yet_wins(self) -> None:
        inserted, follows = threading.Event(), threading.Event()

        def first() -> SigningKey:
            with transaction.atomic():
                made = keys.activate(keys.create())
                inserted.set()
                assert follows.wait(DEADLINE)
            return made

        def second() -> SigningKey:
            def reads(proceed: Any, *arguments: Any) -> Any:
                found = proceed(*arguments)
                follows.set()  # It has seen no key, and what it writes waits for the first.
                return found

            assert inserted.wait(DEADLINE)
            with connection.execute_wrapper(reads):
                return keys.ensure_active()

        one, other = race_all([first, second])
        assert one == other
        assert SigningKey.objects.count() == 1


class TestPublished:
    def test_jwks_has_every_key_that_is_not_disabled(self) -> None:
        old = keys.create(now=timezone.now() - timedelta(days=2))
        new = keys.activate(keys.create())
        keys.disable(keys.create())
        published = keys.jwks()
        assert [jwk["kid"] for jwk in published["keys"]] == [new.kid, old.kid]
        for jwk, signing_key in zip(published["keys"], (new, old), strict=True):
            der = bytes(signing_key.certificate)
            assert list(jwk) == ["kty", "use", "alg", "kid", "n", "e", "x5c", "x5t#S256"]
            assert (jwk["kty"], jwk["use"], jwk["alg"]) == ("RSA", "sig", "RS256")
            assert jwk["e"] == "AQAB"
            assert [base64.b64decode(entry) for entry in jwk["x5c"]] == [der]
            assert jwk["x5t#S256"] == tokens.base64url(hashlib.sha256(der).digest())
            assert keys.public_key_from_jwk(jwk) == keys.public_key(der)

    def test_another_library_verifies_by_it(self) -> None:
        token = keys.sign(keys.create(), stamped := {"iat": _now(), "exp": _now() + 60})
        public = jwt.PyJWKSet.from_json(json.dumps(keys.jwks())).keys[0]
        assert jwt.decode(token, public, algorithms=["RS256"]) == stamped

    def test_the_license_file_gets_the_certificate(self) -> None:
        made = keys.create()
        assert base64.b64decode(keys.certificate_base64(made)) == bytes(made.certificate)


def _now() -> int:
    return int(timezone.now().timestamp())


class TestKeyEncryptionKeys:
    def test_rotate_by_the_command(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = [keys.create(now=NOW) for _ in range(2)]
        old, new = settings.KEY_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
        settings.KEY_ENCRYPTION_KEYS = [new, old]
        call_command("reencrypt_signing_keys")
        assert capsys.readouterr().out == "2 private keys are encrypted with the newest key now.\n"
        settings.KEY_ENCRYPTION_KEYS = [new]
        for signing_key in made:
            signing_key.refresh_from_db()
            assert keys.sign(signing_key, CLAIMS)

    def test_a_process_goes_on_with_rows_that_it_read_before(self, settings: Settings) -> None:
        made = keys.create(now=NOW)
        before = keys.sign(made, CLAIMS)
        settings.KEY_ENCRYPTION_KEYS = [
            Fernet.generate_key().decode(),
            *settings.KEY_ENCRYPTION_KEYS,
        ]
        keys.reencrypt_all()
        assert keys.sign(made, CLAIMS) == before

    def test_a_missing_one_is_named_without_a_secret(self, settings: Settings) -> None:
        made = keys.create(now=NOW)
        lost, wrong = settings.KEY_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
        settings.KEY_ENCRYPTION_KEYS = [wrong]
        for use in (lambda: keys.sign(made, CLAIMS), keys.reencrypt_all):
            with pytest.raises(ImproperlyConfigured, match="KEY_ENCRYPTION_KEYS") as caught:
                use()
            assert caught.value.__cause__ is None
            assert lost not in str(caught.value)
            assert wrong not in str(caught.value)

    def test_all_rows_change_or_none(self, settings: Settings) -> None:
        good, bad = keys.create(), keys.create()
        SigningKey.objects.filter(pk=bad.pk).update(private_key=b"not readable")
        with pytest.raises(ImproperlyConfigured):
            keys.reencrypt_all()
        unchanged = SigningKey.objects.get(pk=good.pk)
        assert bytes(unchanged.private_key) == bytes(good.private_key)


def test_states_are_never_remembered(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    keys.activate(keys.create())
    for _ in range(2):
        with django_assert_num_queries(1):
            keys.active()
