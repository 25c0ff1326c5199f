"""The loop of the worker: periodic tasks, until it must stop.

One task that fails never stops the others.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from portal.config import database_secrets
from portal.core.outages import is_outage
from portal.core.unfit import UnfitNode
from portal.metrics.installation import WORKER_TASKS

logger = logging.getLogger("portal.worker")

PAUSE_SECONDS = 2
"""Seconds between two checks of what is due."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to do every `period` seconds; `name` is its name in the process log."""

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
    does: Callable[[str], object] = lambda _: None,
) -> None:
    """Do the tasks as they come due, until `stopping` is set; a task under way is finished.

    With `once` everything is done once. `is_orphan` is asked after each round and ends the loop.
    `now` is a clock in seconds; `does` is told the name of each task, and nothing after a round.
    """
    due = dict.fromkeys(tasks, 0.0)
    for task in tasks:
        for outcome in ("done", "failed"):  # Prometheus sees no increase of what was not there
            WORKER_TASKS.add(task.name, outcome, count=0)
    while not stopping.is_set():
        for task in tasks:
            if now() >= due[task] and not stopping.is_set():
                due[task] = now() + task.period
                does(task.name)
                _run(task)
        does("")
        if once or is_orphan():
            break
        stopping.wait(PAUSE_SECONDS)


@contextmanager
def beside(tasks: Sequence[Task], *, stopping: threading.Event) -> Iterator[None]:
    """Do these tasks in a thread of their own, until what is inside ends or `stopping` is set.

    What takes long there holds up no task elsewhere; a task under way is finished.
    """

    def run() -> None:
        try:
            work(tasks, stopping=stopping)
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="beside")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _run(task: Task) -> None:
    """Do one task. Whatever it raises is logged; it is done again when it is due.

    Nothing is done where secrets or clock do not fit the database; the log says so once a minute.
    """
    try:
        database_secrets.require()
        task.do()
        WORKER_TASKS.add(task.name, "done")
    except UnfitNode:
        pass
    except Exception as error:
        WORKER_TASKS.add(task.name, "failed")
        if is_outage(error):
            logger.warning("%s waits for the database: %s", task.name, type(error).__name__)
        else:
            logger.exception("%s failed, and is tried again later", task.name)
        connection.close()


def do_each[T, R](rows: Iterable[T], do: Callable[[T], R], *, what: str) -> list[R]:
    """Do something to every row, each by itself, and return the results.

    A row that fails is logged, by its identifier, and left out. An outage of the database is
    raised: it concerns all.
    """
    results = []
    for row in rows:
        try:
            results.append(do(row))
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("%s %s failed; the others go on", what, getattr(row, "pk", row))
    return results
