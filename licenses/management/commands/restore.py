"""Restore a backup."""

from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandParser

from licenses.store.connecting import as_command_errors
from licenses.store.restore import restore


class Command(BaseCommand):
    """Put a backup into an empty place, whole or not at all."""

    help = (
        "Restore a backup where DATABASE_URL points: an SQLite file that is not there, or a "
        "PostgreSQL database without tables. Everything is verified, and everybody signed out."
    )
    requires_system_checks = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", type=Path, metavar="DIR", help="folder of one backup, portal-…"
        )
        parser.add_argument(
            "--accept-lost-secrets",
            action="store_true",
            help="restore although KEY_ENCRYPTION_KEYS or LOG_KEY are not those of the backup",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was restored, and what to do next. Raises CommandError (status 1)."""
        with as_command_errors(" Nothing was restored."):
            restored = restore(
                options["folder"].absolute(), accept_lost_secrets=options["accept_lost_secrets"]
            )
        said = restored.manifest
        for warning in restored.warnings:
            self.stderr.write(f"Warning: {warning}")
        rows = sum(said.rows.values())
        self.stdout.write(f"Restored {rows} rows of {len(said.rows)} tables, of {said.made_at}.")
        if restored.is_older:
            self.stdout.write(
                f"The backup is of an older release ({said.portal}): run manage.py migrate now."
            )
        self.stdout.write(
            "Before the portal starts, run manage.py verify_store --anchors FILE: it tells what "
            "was issued after the backup."
        )
