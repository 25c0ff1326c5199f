"""The loop of the worker: tasks that come due again and again, until it is told to stop."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import Error, connection

logger = logging.getLogger("portal.worker")

PAUSE_SECONDS = 2
"""Between two looks at what is due."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to do every `period` seconds; `name` is how the process log calls it."""

    name: str
    period: float
    do: Callable[[], object]


def work(
    tasks: Sequence[Task],
    *,
    stopping: threading.Event,
    once: bool = False,
    is_orphan: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Do the tasks as they come due, until `stopping` is set; what is under way is finished.

    With `once` everything is done once. `is_orphan` is asked after each round and ends the loop.
    `now` is a clock in seconds.
    """
    due = dict.fromkeys(tasks, 0.0)
    while not stopping.is_set():
        for task in tasks:
            if now() >= due[task] and not stopping.is_set():
                due[task] = now() + task.period
                _run(task)
        if once or is_orphan():
            break
        stopping.wait(PAUSE_SECONDS)


def _run(task: Task) -> None:
    """Do one task; a database that is away is asked again the next time."""
    try:
        task.do()
    except Error as error:
        logger.warning("%s waits for the database: %s", task.name, type(error).__name__)
        connection.close()
