"""Make the list of breached passwords that comes with the portal."""

from pathlib import Path
from typing import Any, override

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.accounts.password_rules import FILTER_FILE, MIN_LENGTH, as_listed, make_filter


class Command(BaseCommand):
    """Make the filter from lists of words; the same lists make the same file."""

    help = (
        "Make the filter of breached passwords from text files with one password a line, and from "
        "Django's list of common passwords. docs/security.md names the file that the portal's own "
        "was made of."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("lists", type=Path, nargs="+", metavar="FILE")
        parser.add_argument("--output", type=Path, default=FILTER_FILE, metavar="FILE")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Write the filter. Raises CommandError for a list that cannot be read."""
        words = {as_listed(word) for word in CommonPasswordValidator().passwords}
        try:
            for path in options["lists"]:
                text = path.read_text("utf-8", errors="replace")
                words.update(as_listed(line) for line in text.split("\n"))
            words = {word for word in words if len(word) >= MIN_LENGTH}
            options["output"].write_bytes(make_filter(words))
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        self.stdout.write(f"{len(words)} passwords of {MIN_LENGTH} characters or more.")
