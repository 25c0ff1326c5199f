"""The figures of all processes of a node, added up.

A scrape reaches one process of several. So each writes its figures twice a second into a file of
its own in `metrics/` of DATA_DIR, and whoever is asked adds the files up. A process holds the lock
of its file while it lives; the next one takes the file over and counts on, so that no counter goes
back when a process ends, and there are never more files than there were processes at once.
"""

import atexit
import fcntl
import json
import logging
import os
import resource
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from portal.metrics.instruments import INSTRUMENTS, Labels

logger = logging.getLogger("portal.metrics")

WRITE_SECONDS = 0.5
"""Seconds between two writes of a process."""

WARNING_SECONDS = 60
"""Seconds between two lines in the log while the folder cannot be written."""

MAX_FILES = 256
"""Processes of a node that are counted; a folder with so many files is not this one's alone."""

ATTEMPTS = 3
"""How often a file is read that is being written."""


@dataclass(frozen=True)
class Gauge:
    """What a process reads of itself when it writes; None where there is nothing to tell."""

    name: str
    meaning: str
    read: Callable[[], float | None]
    is_counter: bool = False


GAUGES: list[Gauge] = []
"""What processes tell of themselves, labelled with `process` and `role`; see `gauge`."""


def gauge(name: str, meaning: str, read: Callable[[], float | None]) -> None:
    """Let every process tell a figure of its own; `read` must not wait for anything."""
    GAUGES.append(Gauge(f"license_portal_{name}", meaning, read))


@dataclass
class Sums:
    """The figures of a node: rows of instruments, and what each living process told, by name."""

    rows: dict[str, dict[Labels, list[float]]] = field(
        default_factory=lambda: {instrument.name: {} for instrument in INSTRUMENTS}
    )
    told: dict[str, dict[Labels, float]] = field(default_factory=dict)


class Process:
    """The file of this process."""

    def __init__(self) -> None:
        self.role = ""
        self.number: int | None = None
        self._descriptor = -1
        self._writing = threading.Lock()
        self._quiet_until = float("-inf")
        self._each_time: list[Callable[[], object]] = []

    def start(self, role: str) -> None:
        """Write the figures of this process from now on; `role` is `server` or `worker`."""
        if self.role:
            return
        self.role = role
        threading.Thread(target=self._run, name="metrics", daemon=True).start()
        atexit.register(self.write)

    def each_time(self, do: Callable[[], object]) -> None:
        """Call something before every write, in its thread."""
        self._each_time.append(do)

    def write(self) -> None:
        """Write now; what cannot be written stays in memory and is written later."""
        if not self._writing.acquire(timeout=WRITE_SECONDS):
            return  # The disk hangs, and one thread waits for it.
        try:
            if self.number is None:
                self._take(folder())
            _put(self._descriptor, {"role": self.role, "told": _told(), "rows": _rows()})
        except OSError as error:
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + WARNING_SECONDS
                logger.warning("Figures of this process are not shared: %s", error)
        finally:
            self._writing.release()

    def _run(self) -> None:
        while True:
            for do in self._each_time:
                do()
            self.write()
            time.sleep(WRITE_SECONDS)

    def _take(self, where: Path) -> None:
        """Lock the first file that no living process holds, and count on from what it holds."""
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MAX_FILES):
            descriptor = os.open(where / str(number), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            before = _read(descriptor).get("rows", {})
            for instrument in INSTRUMENTS:
                instrument.count_on(before.get(instrument.name, []))
            self._descriptor, self.number = descriptor, number
            return
        raise OSError(f"{MAX_FILES} processes hold the files in {where}")


PROCESS = Process()
"""This process."""


def folder() -> Path:
    """Return where the processes of this node write their figures."""
    return Path(settings.DATA_DIR) / "metrics"


def sums() -> Sums:
    """Return the figures of this process, as they are now, and of all others."""
    PROCESS.write()
    found = Sums()
    own = "-" if PROCESS.number is None else str(PROCESS.number)
    _add(found, own, {"role": PROCESS.role, "told": _told(), "rows": _rows()}, lives=True)
    with suppress(OSError):
        for path in sorted(folder().iterdir()):
            if path.name.isdecimal() and path.name != own:
                with path.open("rb") as file:
                    lives = _is_held(file.fileno())
                    _add(found, path.name, _read(file.fileno()), lives=lives)
    return found


def _add(found: Sums, process: str, figures: dict[str, Any], *, lives: bool) -> None:
    for instrument in INSTRUMENTS:
        rows = figures.get("rows", {}).get(instrument.name, [])
        instrument.add_rows(found.rows[instrument.name], rows)
    if lives:
        labels = (process, figures.get("role", ""))
        for name, value in figures.get("told", {}).items():
            found.told.setdefault(name, {})[labels] = value


def _rows() -> dict[str, list[tuple[Labels, list[float]]]]:
    return {each.name: list(each.rows().items()) for each in INSTRUMENTS}


def _told() -> dict[str, float]:
    found = {each.name: each.read() for each in GAUGES}
    return {name: value for name, value in found.items() if value is not None}


def _put(descriptor: int, figures: dict[str, Any]) -> None:
    """Write in place, under a sum that shows a reader whether it has read all of one write."""
    text = json.dumps(figures).encode()
    whole = b"%08x " % zlib.crc32(text) + text
    os.pwrite(descriptor, whole, 0)
    os.ftruncate(descriptor, len(whole))


def _read(descriptor: int) -> dict[str, Any]:
    """Return what a process wrote last, or nothing where no attempt finds a whole write."""
    for _ in range(ATTEMPTS):
        total, _, text = os.pread(descriptor, os.fstat(descriptor).st_size, 0).partition(b" ")
        if total == b"%08x" % zlib.crc32(text):
            found: dict[str, Any] = json.loads(text)
            return found
        time.sleep(0.001)
    return {}


def _is_held(descriptor: int) -> bool:
    """Return whether the process that writes this file lives."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


# What every process tells

_started_at = time.time()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_bytes() -> float | None:
    with suppress(OSError, ValueError, IndexError):  # Linux has it
        pages = Path("/proc/self/statm").read_text().split()[1]
        return float(int(pages) * resource.getpagesize())
    return None


def _open_files() -> float | None:
    with suppress(OSError):
        return float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    return None


GAUGES.append(
    Gauge(
        "license_portal_process_cpu_seconds_total",
        "CPU time of a process, in user and system mode.",
        _cpu_seconds,
        is_counter=True,
    )
)
gauge("process_resident_memory_bytes", "Resident memory of a process.", _resident_bytes)
gauge("process_open_files", "Open files of a process.", _open_files)
gauge("process_start_time_seconds", "When a process began (Unix time).", lambda: _started_at)
