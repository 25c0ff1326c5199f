"""Secrets of endpoints, encrypted in the database with KEY_ENCRYPTION_KEYS: signing needs them."""

from datetime import datetime

from django.db import transaction

from portal.accounts.secrets_at_rest import decrypt, encrypt
from portal.webhooks.models import Endpoint


def signing_secrets(endpoint: Endpoint, now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign now, the newest first: two during a rotation.

    Raises ImproperlyConfigured when none of KEY_ENCRYPTION_KEYS has encrypted one.
    """
    until = endpoint.old_secret_until
    old = (decrypt(endpoint.old_secret),) if until and until > now else ()
    return (decrypt(endpoint.secret), *old)


@transaction.atomic
def reencrypt_all() -> int:
    """Encrypt the secrets of every endpoint with the newest key; return of how many endpoints."""
    endpoints = Endpoint.objects.kept().select_for_update(no_key=True)
    for endpoint in endpoints:
        endpoint.secret = encrypt(decrypt(endpoint.secret))
        if endpoint.old_secret:
            endpoint.old_secret = encrypt(decrypt(endpoint.old_secret))
        endpoint.save(update_fields=["secret", "old_secret"])
    return len(endpoints)
