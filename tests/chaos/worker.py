"""A worker dies by SIGKILL while it sends: no mail is lost, at most the one in flight is twice."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from threading import Event

from tests.bench.measuring import run_python
from tests.chaos.laboratory import Laboratory
from tests.support.smtp import MailServer

ROOT = Path(__file__).parents[2]
DOMAIN = "licenses.contoso.example"
TAKEN = "250 Accepted"
MAX_BETWEEN = 8
"""Most mails that a worker sends before it dies."""
WAITS_SECONDS = 60
ROUNDS = 10
"""Rounds of a last worker, which has to send what is left."""


def manage(command: str, url: str, server: MailServer) -> subprocess.Popen[bytes]:
    """Start a worker that sends to the server."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *command.split()],
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": url,
            "MAIL_URL": server.url,
            "PUBLIC_URL": f"http://{DOMAIN}",
            "LOG_LEVEL": "CRITICAL",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def killed(url: str, server: MailServer) -> bool:
    """Run a worker until it dies between the text of a mail and the server's verdict on it.

    The server takes this mail or not. Returns whether the worker died: with nothing left to send it
    does not.
    """
    process, left, died = manage("run_worker", url, server), random.randint(1, MAX_BETWEEN), Event()

    def look() -> None:
        nonlocal left
        server.verdict = TAKEN
        left -= 1
        if left == 0:
            process.kill()
            process.wait()
            server.verdict = random.choice([TAKEN, "451 Not taken"])
            died.set()

    server.before_verdict = look
    happened = died.wait(WAITS_SECONDS)
    process.kill()
    process.wait()
    return happened


def worker(laboratory: Laboratory) -> Iterator[str]:
    """Kill a worker again and again while it sends; yield what was lost or doubled."""
    deaths, mails = (5, 40) if laboratory.is_quick else (25, 200)
    print(f"\n## A worker killed {deaths} times while it sends {mails} mails\n")
    print("| database | mails | deaths | lost | sent again | other Message-ID |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("worker"):
        environment = {"DATABASE_URL": url}
        run_python(["tests.chaos.mails", "queue", str(mails)], environment)
        server, died = MailServer(), 0
        try:
            while died < deaths and killed(url, server):
                died += 1
                run_python(["tests.chaos.mails", "lapse"], environment)
            for _ in range(ROUNDS):
                manage("run_worker --once", url, server).wait()
                if not int(run_python(["tests.chaos.mails", "lapse"], environment)):
                    break
        finally:
            server.stop()
        yield from (f"{database}: {wrong}" for wrong in judged(server.mails, mails, died, database))
        if died < deaths:
            yield f"{database}: Only {died} workers died while they sent."


def judged(sent: list[EmailMessage], mails: int, died: int, database: str) -> Iterator[str]:
    """Print the row of a database; yield in sentences what is wrong with what arrived."""
    names: dict[str, list[str]] = {}
    for mail in sent:
        names.setdefault(mail["To"], []).append(mail["Message-ID"])
    lost, again = mails - len(names), len(sent) - len(names)
    changed = [found for found in names.values() if len(set(found)) > 1]
    foreign = [name for name, *_ in names.values() if not name.endswith(f"@{DOMAIN}>")]
    print(f"| {database} | {mails} | {died} | {lost} | {again} | {len(changed)} |", flush=True)
    if lost:
        yield f"{lost} mails were lost."
    if again > died:
        yield f"{again} mails came again, and {died} were in flight when a worker died."
    if changed:
        yield f"{len(changed)} mails came again under another Message-ID."
    if foreign:
        yield f"{foreign[0]} is no Message-ID of {DOMAIN}."
