"""The worker: what is done beside the requests."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, connection

from licenses import figures, reminders
from portal import outbox
from portal.flows import pending

logger = logging.getLogger("licenses.worker")

PAUSE = 2
"""Seconds between two looks at what is due."""

HOUR = 3600


class Command(BaseCommand):
    """Do what is done beside the requests; several workers share the work."""

    help = "Send mail and reminders, do what waited, keep the figures, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare how long to run."""
        parser.add_argument("--once", action="store_true", help="do what is due, and end")
        parser.add_argument(
            "--parent", type=int, metavar="PID", help="end when this parent process has ended"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the tasks as they come due; an orderly stop ends after what is under way."""
        stopping = threading.Event()
        for told in (signal.SIGTERM, signal.SIGINT):
            signal.signal(told, lambda *_: stopping.set())
        tasks: list[tuple[str, float, Callable[[], object]]] = [
            ("Mail", PAUSE, partial(outbox.send_due, stopped=stopping.is_set)),
            ("Figures", 30, figures.refresh),
            ("Pending changes", 60, pending.run_due),
            ("Reminders", HOUR, reminders.send),
            ("Tidying the outbox", 24 * HOUR, outbox.prune),
        ]
        due = dict.fromkeys(tasks, 0.0)
        while not stopping.is_set():
            for task in tasks:
                name, period, do = task
                if time.monotonic() >= due[task] and not stopping.is_set():
                    due[task] = time.monotonic() + period
                    _run(name, do)
            if options["once"] or options["parent"] not in {None, os.getppid()}:
                break
            stopping.wait(PAUSE)


def _run(name: str, do: Callable[[], object]) -> None:
    """Do one task; a database that is away is asked again the next time."""
    try:
        do()
    except Error as error:
        logger.warning("%s waits for the database: %s", name, type(error).__name__)
        connection.close()
