"""Create a signing key."""

from contextlib import nullcontext
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from licenses.flows.signing_keys import activate_signing_key, create_signing_key
from portal.config import database_secrets
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused


class Command(BaseCommand):
    """Make an RSA key pair with its certificate; the private key is stored encrypted."""

    help = "Create a signing key; with --activate it signs from now on."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--lost-encryption-keys",
            action="store_true",
            help="go on after KEY_ENCRYPTION_KEYS were lost: license keys that exist stay valid, "
            "and the new signing key signs at once, encrypted with the present ones",
        )
        parser.add_argument(
            "--activate",
            action="store_true",
            help="let it sign at once, which only the first one may; without, it is published only",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Create it, maybe activate it, and print its id. Raises CommandError when refused."""
        is_lost = options["lost_encryption_keys"]
        reason = "KEY_ENCRYPTION_KEYS were lost" if is_lost else ""
        accepts = database_secrets.overruled() if is_lost else nullcontext()
        try:
            with accepts, transaction.atomic():
                signing_key = create_signing_key(actor=SYSTEM)
                if options["activate"] or is_lost:
                    activate_signing_key(
                        signing_key=signing_key, actor=SYSTEM, is_emergency=is_lost, reason=reason
                    )
        except Refused as refusal:
            raise CommandError(refusal.sentence) from refusal
        state = "active" if options["activate"] or is_lost else "passive"
        self.stdout.write(f"Created the signing key {signing_key.kid} ({state}).")
