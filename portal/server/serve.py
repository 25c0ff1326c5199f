"""The commands of the server and the worker, and the port they need."""

import os
import resource
import socket
import sys

from django.conf import settings
from django.core.management.base import CommandError

NEEDED_FILES = 4_096
"""Open files that a process may need: its connections, the database's, and what it loads."""


def node(host: str, port: int, processes: int) -> list[str]:
    """Return the command of the server (see `portal.server.node`)."""
    return [sys.executable, "-m", "portal.server.node", host, str(port), str(processes)]


def allow_open_files() -> None:
    """Raise this process's limit of open files to NEEDED_FILES, for those that it starts too.

    Raises CommandError where the system allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= NEEDED_FILES:
        return
    if hard != resource.RLIM_INFINITY and hard < NEEDED_FILES:
        raise CommandError(
            f"A process may open {hard} files only, and the server needs {NEEDED_FILES}. Raise "
            f"the limit: ulimit -n {NEEDED_FILES}, or LimitNOFILE={NEEDED_FILES} in systemd."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED_FILES, hard))


def worker() -> list[str]:
    """Return the command of the worker that ends with this process, however this one ends."""
    manage = settings.BASE_DIR / "manage.py"
    return [sys.executable, str(manage), "run_worker", "--parent", str(os.getpid())]


def refuse_taken_port(host: str, port: int) -> None:
    """Raise CommandError when something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} of {host} is taken ({error.strerror}). Stop what runs there, or "
                f"choose another port: make run PORT={port + 1}"
            ) from error
