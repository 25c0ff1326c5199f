"""Keys that must not verify anything: certificates and JWKs that are refused when loaded."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from licenses import keys, tokens

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def certified(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, signing: bool | None = True
) -> bytes:
    """Return a certificate of any key; `signing` None leaves the key usage out."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if signing is not None:
        usage = x509.KeyUsage(signing, False, not signing, False, False, False, False, False, False)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def jwk_of(key: rsa.RSAPublicKey, **changes: object) -> dict[str, object]:
    numbers = key.public_numbers()
    members = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "n": tokens.base64url(numbers.n.to_bytes(key.key_size // 8)),
        "e": tokens.base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)),
    } | changes
    return {name: value for name, value in members.items() if value is not None}


class TestWeakKeys:
    """contract.md section 5: RSA, at least 2048 bits, exponent 65537, RS256, for signing."""

    def test_a_good_certificate_and_jwk_are_admitted(self) -> None:
        key = rsa.generate_private_key(65_537, 2048)
        assert keys.public_key(certified(key)) == key.public_key()
        assert keys.public_key_from_jwk(jwk_of(key.public_key())) == key.public_key()

    @pytest.mark.parametrize(
        ("exponent", "bits", "sentence"),
        [(65_537, 1024, "shorter than 2048 bits"), (3, 2048, "exponent is not 65537")],
    )
    def test_a_weak_rsa_key_is_refused(self, exponent: int, bits: int, sentence: str) -> None:
        key = rsa.generate_private_key(exponent, bits)
        with pytest.raises(ValueError, match=sentence):
            keys.public_key(certified(key))
        with pytest.raises(ValueError, match=sentence):
            keys.public_key_from_jwk(jwk_of(key.public_key()))

    def test_a_certificate_of_another_algorithm_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not an RSA key"):
            keys.public_key(certified(ec.generate_private_key(ec.SECP256R1())))

    @pytest.mark.parametrize("signing", [False, None])
    def test_a_certificate_for_another_use_is_refused(self, signing: bool | None) -> None:
        with pytest.raises(ValueError, match="for signatures"):
            keys.public_key(certified(rsa.generate_private_key(65_537, 2048), signing=signing))

    @pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN CERTIFICATE-----"])
    def test_what_is_no_certificate_is_refused(self, data: bytes) -> None:
        with pytest.raises(ValueError, match=r"not an X\.509 certificate"):
            keys.public_key(data)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"kty": "oct"}, "not an RSA key"),
            ({"kty": None}, "not an RSA key"),
            ({"use": "enc"}, "not for signatures"),
            ({"use": None}, "not for signatures"),
            ({"alg": "RS384"}, "not for RS256"),
            ({"alg": "PS256"}, "not for RS256"),
            ({"alg": None}, "not for RS256"),
            ({"d": "AQAB"}, "private key"),
            ({"n": None}, "canonical base64url"),
            ({"n": 5}, "canonical base64url"),
            ({"n": "="}, "canonical base64url"),
            ({"n": ""}, "canonical base64url"),
            ({"e": "AQAC"}, "canonical base64url"),
            ({"e": ["AQAB"]}, "canonical base64url"),
        ],
    )
    def test_a_wrong_jwk_is_refused(self, changes: dict[str, object], sentence: str) -> None:
        public = rsa.generate_private_key(65_537, 2048).public_key()
        with pytest.raises(ValueError, match=sentence):
            keys.public_key_from_jwk(jwk_of(public, **changes))
