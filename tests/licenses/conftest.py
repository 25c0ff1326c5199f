"""Who forges tokens in these tests."""

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
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
    plain = Fernet(settings.KEY_ENCRYPTION_KEYS[0]).decrypt(bytes(signing_key.private_key))
    return Forger(
        key=load_der_private_key(plain, password=None),
        kid=signing_key.kid,
        claims=tokens.parse(stored.token).claims,
        stranger=STRANGER,
    )
