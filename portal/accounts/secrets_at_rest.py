"""Secrets of second factors and webhooks, encrypted in the database with KEY_ENCRYPTION_KEYS."""

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from portal.config import database_secrets

FERNET = "gAAAA"
"""Start of every Fernet token (Fernet spec: 0x80), and of no base32 or hexadecimal text."""

FIELDS = ("secret", "seed")
"""Keys of the secrets in the data of authenticator apps and recovery codes."""


def encrypt(text: str) -> str:
    """Return the text as a Fernet token, made with the newest key.

    Raises SecretsDoNotFit in a process whose secrets are not those of the database.
    """
    database_secrets.require()
    return _cipher().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """Return the plain text; a secret from before version 1.1 is returned unchanged.

    Raises ImproperlyConfigured when none of the keys made the token.
    """
    if not text.startswith(FERNET):
        return text
    try:
        return _cipher().decrypt(text.encode()).decode()
    except InvalidToken:
        raise ImproperlyConfigured(
            "A secret in the database cannot be decrypted: KEY_ENCRYPTION_KEYS must hold the key "
            "that encrypted it, behind the newest one."
        ) from None


@transaction.atomic
def reencrypt_all() -> int:
    """Encrypt the secret of every second factor with the newest key; return how many."""
    factors = Authenticator.objects.select_for_update().exclude(type=Authenticator.Type.WEBAUTHN)
    count = 0
    for factor in factors.order_by("pk"):
        for field in FIELDS:
            if field in factor.data:
                factor.data[field] = encrypt(decrypt(factor.data[field]))
                count += 1
        factor.save(update_fields=["data"])
    return count


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.KEY_ENCRYPTION_KEYS])
