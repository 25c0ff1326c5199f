"""Disable a signing key, with its successor where it is the active one."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from licenses.figures.withdrawals import HEADS, affected
from licenses.flows.signing_keys import count_accepted_keys, disable_signing_key
from licenses.models import SigningKey, SigningKeyState
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.web.csv_files import lines


class Command(BaseCommand):
    """Withdraw a signing key, or list whom that concerns."""

    help = (
        "Disable a signing key: every license key that it signed is refused from then on. The "
        "active one gets its successor in the same step. This cannot be undone."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kid", metavar="KID", help="key id, or `active` for the one that signs")
        parser.add_argument("--reason", help="why, for the vendor's log")
        parser.add_argument(
            "--new-successor",
            action="store_true",
            help="make a new one, although another waits: that one may have leaked too",
        )
        parser.add_argument(
            "--affected",
            action="store_true",
            help="change nothing; write who has slots to reset, as CSV, to standard output",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and print what signs now. Raises CommandError when refused."""
        signing_key = _found(options["kid"])
        if options["affected"]:
            rows = (each.cells() for each in affected(signing_key))
            for line in lines(HEADS, rows):
                self.stdout.write(line, ending="")
            return
        if not options["reason"]:
            raise CommandError("Say why, by --reason: it stands in the vendor's log.")
        refused = count_accepted_keys(signing_key)
        try:
            disable_signing_key(
                signing_key=signing_key,
                actor=SYSTEM,
                reason=options["reason"],
                with_new_successor=options["new_successor"],
            )
        except Refused as refusal:
            raise CommandError(refusal.sentence) from refusal
        active = SigningKey.objects.filter(state=SigningKeyState.ACTIVE).first()
        self.stdout.write(
            f"Disabled the signing key {signing_key.kid}. License keys refused from now on: "
            f"{refused:,}. {active.kid if active else 'No signing key'} signs."
        )


def _found(kid: str) -> SigningKey:
    rows = SigningKey.objects.defer("private_key")
    named = rows.filter(state=SigningKeyState.ACTIVE) if kid == "active" else rows.filter(kid=kid)
    signing_key = named.first()
    if signing_key is None:
        known = ", ".join(rows.values_list("kid", flat=True)) or "none"
        raise CommandError(f"There is no such signing key. Known: {known}.")
    return signing_key
