"""The commands of the server and the worker, and the port they need."""

import os
import socket
import sys

from django.conf import settings
from django.core.management.base import CommandError


def granian(host: str, port: int, workers: int, application: str = "portal") -> list[str]:
    """Return the command that serves an application's `wsgi` over HTTP.

    More threads than two do not answer sooner: they take Python's lock from each other.
    """
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi"),
        *("--host", host, "--port", str(port)),
        *("--workers", str(workers), "--blocking-threads", "2"),
        *("--backpressure", "64", "--log-level", "warning", "--respawn-failed-workers"),
        *("--workers-kill-timeout", "10"),
        f"{application}.wsgi:application",
    ]


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
