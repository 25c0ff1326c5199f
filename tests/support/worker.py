"""The worker as it runs beside the portal: a process of its own on the test database."""

import os
import subprocess
import sys
from pathlib import Path

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
