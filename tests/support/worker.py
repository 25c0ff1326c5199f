"""The worker, in this process or as it runs beside the portal."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from django.test import override_settings

from licenses.management.commands.run_worker import tasks
from portal.config.environment import Environment
from portal.mail import worker
from tests.support import database

ROOT = Path(__file__).parent.parent.parent


def work(mail_url: str, *, stopping: threading.Event | None = None) -> None:
    """Let a worker do once what is due, in this process; with `stopping` until that is set.

    It sends mail to the server at `mail_url`, as MAIL_URL names it.
    """
    mailer = Environment({"MAIL_URL": mail_url}).mailer("MAIL_URL", console=False)
    is_once, stopping = stopping is None, stopping or threading.Event()
    with override_settings(MAILERS={"default": mailer}):
        worker.work(tasks(stopping), stopping=stopping, once=is_once)


def start_worker(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `manage.py run_worker` on the test database and return the process."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_worker", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url()} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killed(moment: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Let `manage.py` die at a moment of `tests.support.killed`, on the test database."""
    return subprocess.run(
        [sys.executable, "-m", "tests.support.killed", moment, *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when it has happened; fail after 30 seconds."""
    end = monotonic() + 30
    while not happened():
        assert monotonic() < end, "it did not happen within 30 s"
        sleep(0.05)
