"""The worker as it runs beside the portal: a process of its own on the test database."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from tests.support import database

ROOT = Path(__file__).parent.parent.parent


def start_worker(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `manage.py run_worker` and return the process."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_worker", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url()} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def work(**variables: str) -> str:
    """Let a worker do what is due, and return what it printed."""
    process = start_worker("--once", **variables)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when it has happened; fail after 30 seconds."""
    end = monotonic() + 30
    while not happened():
        assert monotonic() < end, "it did not happen within 30 s"
        sleep(0.05)
