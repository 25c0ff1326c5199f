"""A node of the portal in the laboratory."""

import signal
import sys
from pathlib import Path

from tests.bench.start import children
from tests.support.server import LivePortal


class Node(LivePortal):
    """`manage.py serve` in two processes with its worker; no limit stops clients of one address."""

    def __init__(self, *, folder: Path, database_url: str, **variables: str) -> None:
        settings = {
            "PUBLIC_URL": "http://localhost",
            "CHECKS_PER_MINUTE": "0",
            "FAILED_CHECKS_PER_MINUTE": "0",
        }
        super().__init__(folder=folder, database_url=database_url, **settings | variables)

    def command(self) -> list[str]:
        port = ["--port", str(self.port)]
        return [sys.executable, "manage.py", "serve", *port, "--workers", "2", "--with-worker"]

    def take_the_place_of(self, other: LivePortal) -> None:
        """Listen where the other one does."""
        self.port, self.url = other.port, other.url
        self.environment |= {"PORT": str(self.port)}

    @property
    def processes(self) -> list[int]:
        """The process that was started first, then all that came of it."""
        return [] if self.process is None else family(self.process.pid)

    @property
    def vital(self) -> list[int]:
        """The processes without which the node is down: who supervises, and granian's parent."""
        first = self.processes[0]
        return [first, *children(first)[:1]]  # the worker is started after the server

    @property
    def has_died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def start_again(self) -> None:
        """Clear away what is left of it and start it, as a service manager does; do not wait."""
        self.stop(how=signal.SIGKILL)
        self.launch()


def family(pid: int) -> list[int]:
    """Return a process and all that it started, and these started."""
    return [pid, *(each for child in children(pid) for each in family(child))]
