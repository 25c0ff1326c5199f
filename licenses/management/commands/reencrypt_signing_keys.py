"""Rotation of the key-encryption key: the step after the new key was put first."""

from typing import Any, override

from django.core.management.base import BaseCommand

from licenses import keys
from portal.accounts import secrets_at_rest
from portal.webhooks import secrets as webhook_secrets


class Command(BaseCommand):
    """Encrypt every private key with the newest of KEY_ENCRYPTION_KEYS."""

    help = (
        "Encrypt the private keys of all signing keys and the secrets of second factors with the "
        "first of KEY_ENCRYPTION_KEYS. "
        "Run it when every process knows the new key; afterwards the old one can be taken out."
    )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        count = keys.reencrypt_all()
        secrets_at_rest.reencrypt_all()
        webhook_secrets.reencrypt_all()
        self.stdout.write(f"{count} private keys are encrypted with the newest key now.")
