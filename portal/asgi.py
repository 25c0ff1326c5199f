"""The ASGI entry: puts the front together, as `urls` does the pages."""

import ctypes
import multiprocessing
import os
import signal
import sys
from contextlib import suppress

import django
from django.conf import settings
from django.db import DatabaseError, connections

from portal.config.checks import refuse_demonstration_accounts
from portal.metrics.node import PROCESS
from portal.server.answers import FastPath
from portal.server.database import bound_statements
from portal.server.front import Front
from portal.server.handler import Handler

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when the one that started it has died."""


def end_by_parent_alone(parent: int) -> None:
    """Leave the process group of the server, but not outlive it; end at once while loading.

    What a terminal or a service manager tells the whole group, granian's main process tells each
    worker too, and a worker that is told twice at once hangs. One that is told before granian
    listens for it would go on, with the ears of the main process that it was forked from.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It died before this process could ask to be told.
            sys.exit(1)


SWITCH_SECONDS = 0.000_5
"""Seconds for which a thread keeps Python's lock from the loop that wants it."""

LOOP_WAIT_MILLISECONDS = 20
"""How long the loop waits for SQLite before it leaves a check to a thread."""

LOOP_MAPPED_BYTES = 1024 * 1024 * 1024
"""How much of SQLite's file the loop reads from mapped memory, without a copy of each page."""


def front() -> Front:
    """Return the application with its fast paths."""
    from licenses.programs import check, published  # noqa: PLC0415 (needs the app registry)

    from_memory: dict[str, FastPath] = {
        "/.well-known/jwks.json": published.from_memory,
        "/public/status/": published.from_memory,
    }
    check_path = "/public/checklicense"
    in_threads: dict[str, FastPath] = {check_path: check.fast_path()}
    on_loop = dict(from_memory)
    database = connections["default"]
    if database.vendor == "sqlite" and not settings.CACHE_URL and settings.CHECK_COUNT_SECONDS:
        # Neither the read nor the limit nor the count waits for anything.
        own = connections.create_connection("default")
        # Times stay text as they are stored: finding out what a column holds takes 3 µs a row.
        options = own.settings_dict["OPTIONS"] | {"detect_types": 0}
        own.settings_dict = own.settings_dict | {"OPTIONS": options}
        with suppress(DatabaseError):  # A database that is away leaves checks to the threads.
            own.connect()
            own.connection.execute(f"PRAGMA busy_timeout = {LOOP_WAIT_MILLISECONDS}")
            own.connection.execute(f"PRAGMA mmap_size = {LOOP_MAPPED_BYTES}")
            on_loop[check_path] = check.fast_path(own.connection)
    return Front(Handler(), in_threads, on_loop)


node = multiprocessing.parent_process()
if node is not None and node.pid is not None:
    end_by_parent_alone(node.pid)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
sys.setswitchinterval(SWITCH_SECONDS)
bound_statements()
application = front()
PROCESS.start("server")
# Whatever server loads this, not `manage.py serve` alone, refuses the demonstration's accounts.
refuse_demonstration_accounts()
