"""The keys service: the only module that touches private keys.

Signing keys are created, activated, disabled, used and published here. Key objects are cached by
their bytes, which never change; states are read from the database every time.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.utils import timezone
from jwt.algorithms import RSAAlgorithm

from licenses.models import SigningKey, SigningKeyState
from licenses.tokens import ParsedToken, SignedToken, base64url, from_base64url
from portal.config import database_secrets
from portal.core.refusal import Refused
from portal.metrics.instruments import SIGNING

ALGORITHM = "RS256"
EXPONENT = 65_537
MIN_BITS = 2048
BEFORE_CREATION = timedelta(days=1)
YEARS = 3

_RS256 = RSAAlgorithm(RSAAlgorithm.SHA256)


def create(*, now: datetime | None = None) -> SigningKey:
    """Return a new signing key, saved as passive: published, but not signing yet."""
    signing_key = _generate(now or timezone.now())
    signing_key.save()
    return signing_key


def activate(signing_key: SigningKey, *, now: datetime | None = None) -> SigningKey:
    """Make this the signing key that signs; the previous one becomes passive in the same step.

    Raises Refused for a disabled one. Returns it unchanged when it is active already.
    """
    with transaction.atomic():
        locked = lock(signing_key)
        if locked.state == SigningKeyState.DISABLED:
            raise Refused("A disabled signing key cannot be activated. Create a new one.")
        if locked.state == SigningKeyState.PASSIVE:
            active_ones = SigningKey.objects.filter(state=SigningKeyState.ACTIVE)
            active_ones.update(state=SigningKeyState.PASSIVE)
            locked.state = SigningKeyState.ACTIVE
            locked.activated_at = now or timezone.now()
            locked.save(update_fields=["state", "activated_at"])
    return locked


def disable(signing_key: SigningKey, *, now: datetime | None = None) -> SigningKey:
    """Withdraw a signing key: every license key that it signed is refused from now on.

    Raises Refused for the active one. Returns it unchanged when it is disabled already.
    """
    with transaction.atomic():
        locked = lock(signing_key)
        if locked.state == SigningKeyState.ACTIVE:
            raise Refused(
                "The active signing key cannot be disabled. Activate its successor first."
            )
        if locked.state == SigningKeyState.PASSIVE:
            locked.state = SigningKeyState.DISABLED
            locked.disabled_at = now or timezone.now()
            locked.save(update_fields=["state", "disabled_at"])
    return locked


def lock(signing_key: SigningKey) -> SigningKey:
    """Return the row as it is now, with all signing keys locked, so that changes never overlap.

    Must run in a transaction.
    """
    rows = SigningKey.objects.select_for_update().order_by("pk")
    return next(row for row in rows if row.pk == signing_key.pk)


def active() -> SigningKey:
    """Return the signing key that signs; raises Refused when there is none."""
    rows = SigningKey.objects.raw(  # plain SQL: every signature asks
        "SELECT * FROM licenses_signingkey WHERE state = %s", [SigningKeyState.ACTIVE.value]
    )
    signing_key = next(iter(rows), None)
    if signing_key is None:
        raise Refused(
            "No signing key is active. An operator must activate one before license keys can be "
            "generated."
        )
    return signing_key


def ensure_active(*, now: datetime | None = None) -> SigningKey:
    """Return the active signing key; create and activate a first one when there is none at all.

    Several processes may call it at once: the constraint lets only one of them create it. Raises
    Refused when there are signing keys but none is active, which only an operator can have done.
    """
    if not SigningKey.objects.exists():
        first = _generate(now or timezone.now())
        first.state = SigningKeyState.ACTIVE
        first.activated_at = first.created_at
        try:
            with transaction.atomic():
                if not SigningKey.objects.exists():
                    first.save()
        except IntegrityError:
            pass  # Another process was first; its key is the active one.
    return active()


def sign(signing_key: SigningKey, claims: Mapping[str, Any], *, typ: str = "JWT") -> str:
    """Return the claims as a compact JWS (RS256) whose header is exactly alg, typ and kid.

    Raises Refused when the signing key is disabled, or when its certificate is not valid from
    `iat` to `exp`, if there is one: terminals that verify offline stop when it ends (contract.md
    section 7).
    """
    if signing_key.state == SigningKeyState.DISABLED:
        raise Refused("This signing key is disabled and signs nothing.")
    begins = datetime.fromtimestamp(claims["iat"], UTC)
    ends = datetime.fromtimestamp(claims.get("exp", claims["iat"]), UTC)
    if begins < signing_key.valid_from or ends > signing_key.valid_until:
        raise Refused(
            "The certificate of the signing key ends before this license would. An operator must "
            "create and activate a new signing key."
        )
    private_key = _private_key(bytes(signing_key.private_key), bytes(signing_key.certificate))
    with SIGNING.time():
        return jwt.encode(
            dict(claims),
            private_key,
            algorithm=ALGORITHM,
            headers={"kid": signing_key.kid, "typ": typ},
        )


def verify(signing_key: SigningKey, parsed: ParsedToken) -> bool:
    """Return whether this signing key signed the token, whatever the key's state.

    The bytes that `tokens.parse` has accepted are verified and are not parsed again.
    """
    return verify_with(public_key(bytes(signing_key.certificate)), parsed)


def verify_with(key: RSAPublicKey, parsed: SignedToken) -> bool:
    """Return whether the private half of this public key signed the token."""
    return _RS256.verify(parsed.signing_input, key, parsed.signature)


@lru_cache(maxsize=64)
def public_key(certificate: bytes) -> RSAPublicKey:
    """Return the public key of a DER certificate; raises ValueError for one that must not verify.

    RSA, at least 2048 bits, exponent 65537, for signing (contract.md section 5).
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise ValueError("The certificate does not say that its key is for signatures.") from None
    except ValueError:
        raise ValueError("This is not an X.509 certificate in DER.") from None
    if not usage.digital_signature:
        raise ValueError("The certificate's key is not for signatures.")
    return _admitted(parsed.public_key())


def public_key_from_jwk(jwk: Mapping[str, Any]) -> RSAPublicKey:
    """Return the public key of a JWK; raises ValueError for one that must not verify.

    It must be bound to `use` sig and `alg` RS256 (RFC 7517 4.2 and 4.4, contract.md section 5).
    """
    if jwk.get("kty") != "RSA":
        raise ValueError("The key is not an RSA key.")
    if jwk.get("use") != "sig":
        raise ValueError("The key is not for signatures.")
    if jwk.get("alg") != ALGORITHM:
        raise ValueError("The key is not for RS256.")
    if "d" in jwk:
        raise ValueError("The key is a private key, which has no place in a JWK Set.")
    try:
        n, e = (int.from_bytes(from_base64url(jwk[name])) for name in ("n", "e"))
        key = RSAPublicNumbers(e, n).public_key()
    except (KeyError, TypeError, ValueError):
        raise ValueError("The key's modulus and exponent are not canonical base64url.") from None
    return _admitted(key)


def public_keys_from_jwks(document: object) -> dict[str, RSAPublicKey]:
    """Return the RSA keys of a JWK Set by `kid`; other kinds of keys are skipped (RFC 7517 5).

    Raises ValueError for anything but a JWK Set, and for an RSA key that must not verify.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or not all(isinstance(jwk, dict) for jwk in members):
        raise ValueError('This is no JWK Set: it has no list "keys" of objects.')
    found = {}
    for jwk in members:
        if jwk.get("kty") == "RSA":
            if not isinstance(jwk.get("kid"), str):
                raise ValueError("A key of the JWK Set has no kid.")
            found[jwk["kid"]] = public_key_from_jwk(jwk)
    return found


def jwks() -> dict[str, list[dict[str, Any]]]:
    """Return the JWK Set of the published signing keys, the newest first (RFC 7517)."""
    return {"keys": [_jwk(signing_key) for signing_key in SigningKey.objects.published()]}


def certificate_base64(signing_key: SigningKey) -> str:
    """Return the certificate as the license file's `validation_key`: base64 of DER."""
    return base64.b64encode(bytes(signing_key.certificate)).decode("ascii")


def thumbprint(key: RSAPublicKey) -> str:
    """Return the SHA-256 thumbprint of a public key, our `kid` (RFC 7638)."""
    members = {**_numbers(key), "kty": "RSA"}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def reencrypt_all() -> int:
    """Encrypt every private key with the newest of KEY_ENCRYPTION_KEYS; return how many.

    To rotate: put the new key first, restart every process, run this, restart without the old
    key. All of them change or none does. Raises ImproperlyConfigured when one cannot be read.
    """
    with transaction.atomic():
        signing_keys = list(SigningKey.objects.select_for_update().order_by("pk"))
        for signing_key in signing_keys:
            plain = _decrypted(bytes(signing_key.private_key))
            signing_key.private_key = _encrypted(plain)
            signing_key.save(update_fields=["private_key"])
    return len(signing_keys)


def encryption_keys_in_use() -> list[str]:
    """Return the KEY_ENCRYPTION_KEYS that some private key is encrypted with, the newest first."""
    encrypted = [bytes(row.private_key) for row in SigningKey.objects.only("private_key")]
    return [
        key
        for key in settings.KEY_ENCRYPTION_KEYS
        if any(_is_encrypted_with(key, private_key) for private_key in encrypted)
    ]


def why_unable_to_sign(signing_key: SigningKey) -> str | None:
    """Say why this signing key could not sign, whatever its state; None when it could."""
    try:
        key = _private_key(bytes(signing_key.private_key), bytes(signing_key.certificate))
    except ImproperlyConfigured:
        return "its private key cannot be decrypted with KEY_ENCRYPTION_KEYS"
    except ValueError:
        return "its private key does not belong to its certificate"
    if thumbprint(key.public_key()) != signing_key.kid:
        return "its key id is not the thumbprint of its public key"
    return None


@database_secrets.register
def why_encryption_keys_do_not_fit() -> str | None:
    """Return a sentence when KEY_ENCRYPTION_KEYS cannot decrypt the active key or its successor."""
    published = SigningKey.objects.published()
    active_one = published.filter(state=SigningKeyState.ACTIVE).first()
    for signing_key in filter(None, {active_one, published.first()}):
        try:
            _decrypted(bytes(signing_key.private_key))
        except ImproperlyConfigured:
            return (
                f"KEY_ENCRYPTION_KEYS cannot decrypt the signing key {signing_key.kid}, which is "
                f"{signing_key.state}. Set the KEY_ENCRYPTION_KEYS of the other nodes, or those "
                "kept with the backup; older keys stand behind the newest one. If they are lost, "
                "run `manage.py create_signing_key --lost-encryption-keys`."
            )
    return None


def clear_cached_keys() -> None:
    """Drop the key objects that this process has cached."""
    public_key.cache_clear()
    _private_key.cache_clear()


def _generate(now: datetime) -> SigningKey:
    now = now.astimezone(UTC).replace(microsecond=0)  # Certificates know whole seconds only.
    key, kid = _new_pair()
    valid_from, valid_until = now - BEFORE_CREATION, _years_after(now)
    plain = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKey(
        kid=kid,
        private_key=_encrypted(plain),
        certificate=_self_signed(key, kid, valid_from, valid_until),
        bits=key.key_size,
        valid_from=valid_from,
        valid_until=valid_until,
        created_at=now,
    )


def _new_pair() -> tuple[RSAPrivateKey, str]:
    """Return a key and its id; no hyphen begins it, as commands would take it for an option."""
    while True:
        key = generate_private_key(EXPONENT, settings.SIGNING_KEY_BITS)
        kid = thumbprint(key.public_key())
        if not kid.startswith("-"):
            return key, kid


def _years_after(moment: datetime) -> datetime:
    try:
        return moment.replace(year=moment.year + YEARS)
    except ValueError:  # The 29th of February.
        return moment.replace(year=moment.year + YEARS, month=3, day=1)


def _self_signed(
    key: RSAPrivateKey, kid: str, valid_from: datetime, valid_until: datetime
) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"License signing {kid}")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def _admitted(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise ValueError("The key is not an RSA key.")
    if key.key_size < MIN_BITS:
        raise ValueError(f"The key is shorter than {MIN_BITS} bits.")
    if key.public_numbers().e != EXPONENT:
        raise ValueError(f"The key's exponent is not {EXPONENT}.")
    return key


@lru_cache(maxsize=16)
def _private_key(encrypted: bytes, certificate: bytes) -> RSAPrivateKey:
    key = serialization.load_der_private_key(_decrypted(encrypted), password=None)
    if not isinstance(key, RSAPrivateKey) or key.public_key() != public_key(certificate):
        raise ValueError("The private key of a signing key does not belong to its certificate.")
    return key


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.KEY_ENCRYPTION_KEYS])


def _encrypted(plain: bytes) -> bytes:
    database_secrets.require()
    return _cipher().encrypt(plain)


def _decrypted(encrypted: bytes) -> bytes:
    try:
        return _cipher().decrypt(encrypted)
    except InvalidToken:
        raise ImproperlyConfigured(
            "The private key of a signing key cannot be decrypted: KEY_ENCRYPTION_KEYS must hold "
            "the key that encrypted it, behind the newest one."
        ) from None


def _is_encrypted_with(key: str, private_key: bytes) -> bool:
    try:
        Fernet(key).decrypt(private_key)
    except InvalidToken:
        return False
    return True


def _numbers(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {
        "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
        "e": base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)),
    }


def _jwk(signing_key: SigningKey) -> dict[str, Any]:
    certificate = bytes(signing_key.certificate)
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": ALGORITHM,
        "kid": signing_key.kid,
        **_numbers(public_key(certificate)),
        "x5c": [certificate_base64(signing_key)],
        "x5t#S256": base64url(hashlib.sha256(certificate).digest()),
    }
