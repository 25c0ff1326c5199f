"""Look at a set-up as it runs, and say what is wrong and what to do."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, override

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.timesince import timesince

from licenses.models import SigningKey, SigningKeyState
from portal.diagnosis import database, machine, mail, network
from portal.diagnosis.findings import Finding, Mark, Part, look_at, ok, wrong

WIDTH = max(map(len, Mark))


class Command(BaseCommand):
    """Look at every part at once, each for a bounded time; nothing is changed."""

    help = (
        "Say what is wrong with this set-up as it runs, and what to do: one line for each finding. "
        "Exit status 1 when anything is wrong."
    )
    requires_system_checks: list[str] = []  # they are one of the parts

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")
        parser.add_argument("--mail-to", default="", metavar="ADDRESS", help="send a test mail")
        parser.add_argument(
            "--provoke",
            action="store_true",
            help="let a node send an answer that most proxies refuse, to see whether their 502 is "
            "JSON; nginx leaves that node out for its fail_timeout",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings. Raises SystemExit (status 1) when anything is wrong."""
        found = look_at(parts(mail_to=options["mail_to"], provokes=options["provoke"]))
        if options["json"]:
            rows = [
                {"part": name, "mark": each.mark, "sentence": each.sentence} for name, each in found
            ]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            for name, each in found:
                self.stdout.write(f"{each.mark:{WIDTH}}  {name}: {each.sentence}")
        if any(each.mark == Mark.WRONG for _, each in found):
            raise SystemExit(1)


def parts(*, mail_to: str = "", provokes: bool = False) -> list[Part]:
    """Return everything that is looked at, in the order in which one puts it right."""
    return [
        Part("Settings", database.settings_and_checks),
        Part("Database", database.database),
        Part("Clock", database.clock),
        Part("Secrets", database.secrets),
        Part("Signing key", signing_key),
        Part("Worker", mail.worker),
        Part("Mail server", partial(mail.server, mail_to)),
        Part("Outbox", mail.waiting),
        Part("Log anchors", mail.last_anchor),
        Part("Cache", network.shared_cache),
        Part("Address", network.address),
        Part("Proxies", network.proxies),
        Part("Terminals", partial(network.terminals, provokes=provokes)),
        Part("Disks", machine.disks),
        Part("Open files", machine.open_files),
    ]


def signing_key() -> Iterator[Finding]:
    """Tell the age of the active signing key and its successor; a system check warns of age."""
    published = list(SigningKey.objects.published().defer("private_key"))
    active = next((key for key in published if key.state == SigningKeyState.ACTIVE), None)
    if active is None:
        yield wrong("No signing key is active: run `manage.py create_signing_key --activate`.")
        return
    now = timezone.now()
    age = timesince(active.activated_at or active.created_at, now)
    newest = published[0]
    next_one = "No successor is published."
    if newest.created_at > active.created_at:
        next_one = f"Its successor has been published for {timesince(newest.created_at, now)}."
    days = (active.valid_until - now).days
    yield ok(f"{active.kid} has signed for {age}; its certificate ends in {days} days. {next_one}")
