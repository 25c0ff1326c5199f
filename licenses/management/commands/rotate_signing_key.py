"""Rotation of the signing key, one step for each run."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from licenses.flows.signing_keys import rotate_signing_key
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused


class Command(BaseCommand):
    """Create the successor of the active signing key, and activate it in a later run."""

    help = (
        "Create a new signing key; run again, activate it once it was published for "
        "SIGNING_KEY_PUBLISHED_HOURS. A run too many does nothing."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--emergency",
            action="store_true",
            help="activate at once: who has not fetched the new key refuses what it signs",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Do the next step and print it. Raises CommandError when refused."""
        try:
            rotation = rotate_signing_key(
                actor=SYSTEM, reason="rotate_signing_key", is_emergency=options["emergency"]
            )
        except Refused as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(rotation.sentence)
