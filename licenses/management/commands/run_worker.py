"""The worker: what is done beside the requests."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.utils import DatabaseError

from licenses import figures, reminders
from portal import outbox

logger = logging.getLogger("licenses.worker")

PAUSE = 2
"""Seconds between two looks at what is due."""

HOUR = 3600
TASKS: list[tuple[float, Callable[[], object]]] = [
    (PAUSE, outbox.send_due),
    (30, figures.refresh),
    (HOUR, reminders.send),
    (24 * HOUR, outbox.prune),
]
"""What is done, and every how many seconds."""


class Command(BaseCommand):
    """Send mail and reminders and keep the figures; several workers share the work."""

    help = "Send mail and reminders and keep the figures, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare how long to run."""
        parser.add_argument("--once", action="store_true", help="do what is due, and end")
        parser.add_argument(
            "--parent", type=int, metavar="PID", help="end when this parent process has ended"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the tasks as they come due; an orderly stop ends after the one under way."""
        stopping = threading.Event()
        for told in (signal.SIGTERM, signal.SIGINT):
            signal.signal(told, lambda *_: stopping.set())
        due = [0.0] * len(TASKS)
        while not stopping.is_set():
            for number, (period, task) in enumerate(TASKS):
                if time.monotonic() >= due[number] and not stopping.is_set():
                    due[number] = time.monotonic() + period
                    _run(task)
            if options["once"] or options["parent"] not in {None, os.getppid()}:
                break
            stopping.wait(PAUSE)


def _run(task: Callable[[], object]) -> None:
    """Run one task; a database that is away is tried again the next time."""
    try:
        task()
    except DatabaseError as error:
        logger.warning("%s waits for the database: %s", task.__name__, type(error).__name__)
        connection.close()
