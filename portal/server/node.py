"""granian, as the portal runs it: `python -m portal.server.node HOST PORT PROCESSES`.

A module of its own without Django, because each process loads the portal for itself.
"""

import logging
import resource
import signal
import socket
import sys
import time
from typing import Any, override

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

logger = logging.getLogger("_granian")

BACKLOG = 1024
"""Connections that wait for a process to take them."""

BACKPRESSURE = 2048
"""Connections of one process, those that say nothing included."""

NEEDED_FILES = 2 * BACKPRESSURE
"""Open files that a process may need: its connections, the database's, and what it loads."""

HEADER_MILLISECONDS = 10_000
"""How long a client may take for the head of a request."""

UNREAD_MILLISECONDS = 30_000
"""How long a client may leave what was sent to it unread, before the kernel hangs up."""

DRAIN_SECONDS = 10
"""Seconds that a process gets to answer what it has begun."""

YOUNG_SECONDS = 30
"""Age up to which a node ends when its processes cannot load the portal."""

RELOAD_SECONDS = 2
"""Seconds between starting a new process and ending the one that it stands in for."""


class Node(MPServer):
    """Several processes on one listening socket.

    They share the socket, where granian gives each its own: a connection that waits in the
    kernel is taken by whichever process has room, and outlives a process that ends.
    """

    @override
    def _init_shared_socket(self) -> None:
        # As `portal.server.serve.refuse_taken_port` asks: the same address, of IPv4 or IPv6.
        family, kind, protocol, _, place = socket.getaddrinfo(
            self.bind_addr, self.bind_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it (tcp(7))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        listener.bind(place)
        listener.listen(self.backlog)
        listener.setblocking(False)
        listener.set_inheritable(True)
        shared: Any = self  # granian types these as what they are before
        shared._sso, shared._sfd = listener, listener.fileno()
        shared._shd = SocketHolder(listener.fileno(), False, self.backlog)  # type: ignore[call-arg]

    @override
    def startup(self, *args: Any) -> None:
        self.started_at = time.monotonic()
        # The supervisor's word for SIGHUP, which a closing terminal sends to all of us.
        signal.signal(signal.SIGUSR1, self.signal_handler_reload)
        super().startup(*args)  # type: ignore[no-untyped-call]

    @override
    def _respawn_workers(self, workers: list[int], *args: Any, **options: Any) -> None:
        """Start processes anew, however often they die: granian gives up at the second time.

        A young node whose processes end by an error of their own does end with them: they cannot
        load the portal, and the reason stands in the log.
        """
        failed = any(self.wrks[index].inner.exitcode == 1 for index in workers)
        super()._respawn_workers(workers, *args, **options)
        if not failed:
            self.respawned_wrks.clear()
        elif time.monotonic() - self.started_at > YOUNG_SECONDS:
            self.respawned_wrks.clear()
            time.sleep(1)  # The database may be away: no need to ask it more often.


def node(host: str, port: int, processes: int) -> Node:
    """Return the server of the portal on an address."""
    return Node(
        "portal.asgi:application",
        address=host,
        port=port,
        workers=processes,
        interface=Interfaces.ASGINL,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS),
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=RELOAD_SECONDS,
        workers_kill_timeout=DRAIN_SECONDS,
    )


def refuse_few_files() -> None:
    """Raise SystemExit with a sentence where the system allows fewer files than NEEDED_FILES."""
    allowed, _ = resource.getrlimit(
        resource.RLIMIT_NOFILE
    )  # granian has raised it as far as it may
    if allowed != resource.RLIM_INFINITY and allowed < NEEDED_FILES:
        raise SystemExit(
            f"A process may open {allowed} files only, and the server needs {NEEDED_FILES}. Raise "
            f"the limit: ulimit -n {NEEDED_FILES}, or LimitNOFILE={NEEDED_FILES} in systemd."
        )


if __name__ == "__main__":
    refuse_few_files()
    node(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).serve()
