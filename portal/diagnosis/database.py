"""The settings and the database: checks, migrations, clock, secrets."""

from collections.abc import Iterator

from django.conf import settings
from django.core import checks
from django.db import Error, connection

from portal.config import database_secrets
from portal.diagnosis.findings import Finding, ok, warning, wrong
from portal.mail.heartbeat import living, secret_key_print
from portal.server import conditions

NOTED_CLOCK_SECONDS = 5
"""Seconds by which clocks that are set by NTP do not differ."""


def settings_and_checks() -> Iterator[Finding]:
    """Run the checks registered with Django, those of the database and of deployment too."""
    found = checks.run_checks(
        include_deployment_checks=not settings.DEMONSTRATION, databases=["default"]
    )
    told = [message for message in found if not message.is_silenced()]
    for message in told:
        mark = wrong if message.level >= checks.ERROR else warning
        yield mark(" ".join(filter(None, [message.msg, message.hint, f"({message.id})"])))
    if not told:
        yield ok("The settings are whole, and no system check complains.")


def database() -> Iterator[Finding]:
    """Ask the database, and compare its migrations with those of this release."""
    try:
        missing, unknown = conditions.migrations()
    except Error:
        yield wrong(f"{conditions.NO_ANSWER} Start it, or correct DATABASE_URL.")
        return
    if missing:
        yield wrong(conditions.missing_sentence(missing))
    if unknown:
        yield warning(
            f"Migrations of a later release are applied, the first is {'.'.join(unknown[0])}: "
            "upgrade this node."
        )
    if not missing and not unknown:
        yield ok(f"{connection.display_name} answers, and every migration is applied.")


def clock() -> Iterator[Finding]:
    """Compare the clock of this machine with the database's."""
    ahead = conditions.seconds_ahead()
    if ahead is None:
        yield ok("SQLite has no clock of its own.")
        return
    too_far = list(conditions.wrong_clock(ahead))
    if too_far:
        yield wrong(too_far[0])
    elif abs(ahead) > NOTED_CLOCK_SECONDS:
        yield warning(f"The clock differs from the database's by {ahead:+.1f} s: set both by NTP.")
    else:
        yield ok(f"It differs from the database's by {ahead:+.1f} s.")


def secrets() -> Iterator[Finding]:
    """Compare the secrets of this process with the database, and with the workers'."""
    sentences = list(database_secrets.compare())
    own = secret_key_print()
    sentences += [
        f"SECRET_KEY is not the one of the {worker}: sessions and links of one node do not count "
        "on the other. Give all processes the same."
        for worker in living()
        if worker.secret_key_print != own
    ]
    yield from map(wrong, sentences)
    if not sentences:
        yield ok("They fit the database.")
