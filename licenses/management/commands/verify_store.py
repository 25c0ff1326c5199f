"""Prove what is stored."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from licenses.store import loss, sqlite
from licenses.store.connecting import as_command_errors
from licenses.store.manifest import Manifest
from licenses.store.proof import findings, log_of
from licenses.store.restore import refuse_unfit
from portal.activity import anchors
from portal.activity.anchors import Anchors
from portal.core.refusal import Refused


class Command(BaseCommand):
    """Verify every license key, every signing key and the whole log."""

    help = (
        "Verify the signature and the claims of every license key, that every signing key can "
        "sign, the constraints of slots and status lists, and the whole log. Exit status 0: all of "
        "it is as it was issued; 1: it is not, and a sentence for each finding says why."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--backup", type=Path, metavar="DIR", help="verify a backup of an SQLite database"
        )
        parser.add_argument(
            "--anchors",
            type=Path,
            metavar="FILE",
            help="after a restore: tell what was done after the backup, from the heads of the log "
            "that the worker has kept (LOG_ANCHORS_FILE)",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print findings and what was looked at. Raises CommandError (status 1)."""
        begin, looked_at, found = monotonic(), Counter[str](), 0
        with as_command_errors():
            anchored = anchors.read_given(options["anchors"])
            with _store(options["backup"]):
                for sentence in self._sentences(looked_at, anchored):
                    self.stderr.write(sentence)
                    found += 1
        figures = ", ".join(f"{count} {name}" for name, count in looked_at.items())
        self.stdout.write(f"Looked at {figures} in {monotonic() - begin:.1f} s.")
        if found:
            raise CommandError(f"The store is not whole: findings: {found}.")
        self.stdout.write("The store is whole.")
        if anchored is not None:
            self.stdout.write(
                f"Nothing is missing that was there at the last of {anchored.count} "
                f"anchor{pluralize(anchored.count)}, {anchored.last_at}."
            )

    def _sentences(self, looked_at: Counter[str], anchored: Anchors | None) -> Iterator[str]:
        yield from findings(looked_at)
        if anchored is None:
            return
        for fault in loss.differing(anchored):
            yield f"{log_of(fault.tenant_id)}: {fault.sentence}."
        is_missing = False
        for sentence in loss.missing(anchored):
            is_missing = True
            yield sentence
        if is_missing:
            self.stderr.write(loss.MEANING)


@contextmanager
def _store(backup: Path | None) -> Iterator[None]:
    """Let the default connection read what is to be verified; raises Refused when it cannot."""
    if backup is None:
        yield
        return
    said = Manifest.read(backup)
    said.refuse_damage(backup)
    if said.database != "sqlite":
        raise Refused(
            f"The files of {backup} are those of its manifest. To verify what is in them, restore "
            "it into an empty database, and run verify_store there."
        )
    if refuse_unfit(said):
        raise Refused(
            f"{backup} is of an older release ({said.portal}): restore it into an empty place, run "
            "manage.py migrate and verify_store there."
        )
    if lost := said.lost_secrets():
        raise Refused(lost[0])
    said.refuse_forgery()
    with sqlite.opened(backup / sqlite.FILE):
        said.refuse_difference()
        yield
