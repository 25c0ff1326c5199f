"""Back up the database."""

from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from licenses.store.backup import back_up, remove_older
from licenses.store.connecting import as_command_errors


class Command(BaseCommand):
    """Write a backup while the portal runs."""

    help = (
        "Write a backup of the database into a new folder, named by the time (UTC), while the "
        "portal runs. It holds no secret in plain text: KEY_ENCRYPTION_KEYS, LOG_KEY and "
        "SECRET_KEY are backed up apart from it (docs/backup.md)."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="folder of all backups")
        parser.add_argument(
            "--keep", type=int, metavar="N", help="afterwards remove all but the newest N backups"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print the folder that was written. Raises CommandError (status 1) when refused."""
        parent, keep = options["folder"].absolute(), options["keep"]
        if keep is not None and keep < 1:
            raise CommandError("--keep must be at least 1.")
        with as_command_errors():
            done = back_up(parent, now=timezone.now())
        self.stdout.write(f"Backed up into {done}.")
        if keep is not None:
            with as_command_errors(" The new backup is complete."):
                for removed in remove_older(parent, keep=keep):
                    self.stdout.write(f"Removed {removed}.")
