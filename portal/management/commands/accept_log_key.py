"""Go on with another LOG_KEY, after the one that wrote the log is lost."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.activity.log_key import accept_log_key
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused


class Command(BaseCommand):
    """Record that the log goes on with the present LOG_KEY."""

    help = (
        "Let the portal write the log with a LOG_KEY other than before: verify_log then reports "
        "the older rows as changed. Only when the other key is lost or was changed on purpose."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="why, for the log")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Record the row. Raises CommandError when LOG_KEY fits already."""
        try:
            entry = accept_log_key(actor=SYSTEM, reason=options["reason"])
        except Refused as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(f"LOG_KEY is accepted from row {entry.seq} of the vendor's log on.")
