"""Signs of life of workers, in the database, where other machines can look at them."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.timesince import timesince

from portal.config import database_secrets
from portal.mail.models import Heartbeat
from portal.metrics import installation

BEAT_SECONDS = 15
"""Seconds between two signs of life of one worker."""

MAX_SILENCE = timedelta(seconds=60)
"""A worker that was silent for longer is gone."""

MAX_TASK = timedelta(minutes=15)
"""A worker that has done one task for longer is stuck."""

MAX_KEPT_FOR = timedelta(days=1)
"""How long the row of a worker that was killed is kept."""


class Heart:
    """Writes a row every BEAT_SECONDS, from a thread of its own: tasks may take minutes.

    A context: the row goes when the worker ends in order. Nothing is written where secrets do not
    fit the database; they are compared with every beat. What the worker has counted goes with it.
    """

    def __init__(self) -> None:
        self.name: dict[str, Any] = {"host": socket.gethostname()[:255], "pid": os.getpid()}
        self.started_at = self.doing_since = timezone.now()
        self.doing = ""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def does(self, task: str) -> None:
        """Note the name of the task that begins, or that none is under way (empty)."""
        self.doing, self.doing_since = task, timezone.now()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._thread.join(BEAT_SECONDS)
        with suppress(Error):
            Heartbeat.objects.filter(**self.name).delete()
            installation.store()

    def _beat_on(self) -> None:
        while not self._ends.is_set():
            with suppress(Error, ImproperlyConfigured):  # the tasks say it in the log
                self._beat()
            connection.close()
            self._ends.wait(BEAT_SECONDS)

    def _beat(self) -> None:
        if database_secrets.compare():
            return
        now = timezone.now()
        Heartbeat.objects.update_or_create(
            **self.name,
            defaults={
                "started_at": self.started_at,
                "beat_at": now,
                "doing": self.doing,
                "doing_since": self.doing_since,
                "secret_key_print": secret_key_print(),
            },
        )
        Heartbeat.objects.filter(beat_at__lt=now - MAX_KEPT_FOR).delete()
        installation.store()


def secret_key_print() -> str:
    """Return what tells two values of SECRET_KEY apart."""
    return salted_hmac("portal.heartbeat", "", algorithm="sha256").hexdigest()[:16]


def living(*, now: datetime | None = None) -> list[Heartbeat]:
    """Return the workers that gave a sign of life within MAX_SILENCE. Raises django.db.Error."""
    since = (now or timezone.now()) - MAX_SILENCE
    return list(Heartbeat.objects.filter(beat_at__gte=since).order_by("host", "pid"))


def why_not_working(*, host: str = "", now: datetime | None = None) -> Iterator[str]:
    """Yield why no worker works, on the machine `host` where it is given; nothing if one does.

    Raises django.db.Error when the database is away.
    """
    now = now or timezone.now()
    workers = [worker for worker in living(now=now) if worker.host == (host or worker.host)]
    stuck = [worker for worker in workers if now - worker.doing_since > MAX_TASK]
    if len(stuck) < len(workers):
        return
    for worker in stuck:
        yield (
            f'The {worker} has been at "{worker.doing}" for '
            f"{timesince(worker.doing_since, now)}: look at its log, and restart it."
        )
    if not workers:
        rows = Heartbeat.objects.filter(**({"host": host} if host else {}))
        last = rows.order_by("-beat_at").first()
        sign = f"The last sign of one is {timesince(last.beat_at, now)} old." if last else ""
        where = f" on {host}" if host else ""
        yield f"No worker runs{where}: start `manage.py run_worker`. {sign}".rstrip()
