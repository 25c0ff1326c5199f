"""Who forges tokens in these tests."""

from functools import lru_cache

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_der_private_key
from django.conf import settings

from licenses import tokens
from licenses.models import SigningKey, Slot
from tests.support.factories import make_license
from tests.support.forge import Forger

pytestmark = pytest.mark.django_db


STRANGER = generate_private_key(65_537, 2048)


@pytest.fixture
def forger(signing_key: SigningKey) -> Forger:
    """Somebody who holds our private key, and a stored license key to start from."""
    license = make_license(signing_key=signing_key)
    stored = license.keys.get(slot=Slot.PRIMARY)
    return Forger(
        key=_private_key(bytes(signing_key.private_key)),
        kid=signing_key.kid,
        claims=tokens.parse(stored.token).claims,
        stranger=STRANGER,
    )


@lru_cache
def _private_key(encrypted: bytes) -> RSAPrivateKey:
    """Return a signing key's private key; loading one takes 50 ms."""
    plain = Fernet(settings.KEY_ENCRYPTION_KEYS[0]).decrypt(encrypted)
    key = load_der_private_key(plain, password=None)
    assert isinstance(key, RSAPrivateKey)
    return key
