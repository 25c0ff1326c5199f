"""The access log: one line for each finished request.

The event loop only puts a request into a queue; a thread writes the lines, so that nobody waits
for whoever takes them. Routes stand for paths: these may hold the secret of a mailed link.
"""

import atexit
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest

from portal.metrics.instruments import LOG_LINES_DROPPED
from portal.programs.client_address import client_address
from portal.server.log_lines import as_json, moment, plain
from portal.server.process_log import about

LOGGER = "portal.access"

WRITE_SECONDS = 0.2
"""Seconds between two writes."""

MAX_LINES = 10_000
"""Requests that wait to be written; more are dropped and counted, while nobody takes the lines."""

SAMPLE = 100
"""With ACCESS_LOG=sampled, of so many answers without news one has a line."""

FREQUENT = {"public:check_license", "public:status_list", "jwks", "static", "live", "ready"}
"""Routes that programs and browsers ask for again and again: a success there is no news."""

PIPE_BYTES = 4096
"""Bytes that a pipe takes as one (PIPE_BUF, pipe(7)): other processes write to the same one."""


class Finished(NamedTuple):
    """A finished request: when (Unix time), and what was answered in how many seconds."""

    at: float
    request: HttpRequest
    route: str
    status: int
    seconds: float
    size: int


class AccessLog:
    """The queue of one process, and the thread that writes it to standard error."""

    def __init__(self) -> None:
        self.is_sampled = settings.ACCESS_LOG == "sampled"
        self._left_out = 0
        self._queue: deque[Finished] = deque()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="access log", daemon=True).start()
        atexit.register(self.write)

    def add(self, request: HttpRequest, route: str, status: int, seconds: float, size: int) -> None:
        """Note a request that was answered, on the event loop."""
        if self.is_sampled and status < 400 and route in FREQUENT:
            self._left_out += 1
            if self._left_out % SAMPLE:
                return
        if len(self._queue) >= MAX_LINES:
            LOG_LINES_DROPPED.add()
            return
        self._queue.append(Finished(time.time(), request, route, status, seconds, size))

    def write(self) -> None:
        """Write what waits, in parts that other processes do not interrupt."""
        with self._writing:
            part = b""
            with suppress(IndexError):
                while True:
                    one = (self._line(self._queue.popleft()) + "\n").encode()
                    if len(part) + len(one) > PIPE_BYTES:
                        _write(part)
                        part = b""
                    part += one
            _write(part)

    def _run(self) -> None:
        while True:
            time.sleep(WRITE_SECONDS)
            if self._queue:
                self.write()

    def _line(self, one: Finished) -> str:
        facts = {
            "method": plain(one.request.method or "", 20),
            "route": one.route,
            "status": one.status,
            "duration_ms": round(one.seconds * 1000, 3),
            "bytes": one.size,
            "client": client_address(one.request),
        }
        known = about(one.request)
        if settings.LOG_FORMAT == "json":
            line: dict[str, Any] = {
                "time": moment(one.at),
                "level": "INFO",
                "logger": LOGGER,
                "message": "request",
            }
            if self.is_sampled and one.status < 400 and one.route in FREQUENT:
                line["sample"] = SAMPLE
            return as_json(line | known | facts)
        reference = known.pop("request_id", "-")
        shown = " ".join(f"{name}={value}" for name, value in (facts | known).items() if value)
        return f"{moment(one.at)[:-5]}Z INFO [{reference}] {LOGGER}: {shown}"


def _write(part: bytes) -> None:
    with suppress(OSError, ValueError):  # Nobody reads standard error any more.
        while part:
            part = part[os.write(sys.stderr.fileno(), part) :]
