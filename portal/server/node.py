"""granian, as the portal runs it: `python -m portal.server.node HOST PORT PROCESSES LOG_FORMAT`.

A module of its own without Django, because each process loads the portal for itself.
"""

import logging
import os
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

from portal.server.log_lines import granian_config

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
    """Several processes, each with a listening socket of its own on one port (SO_REUSEPORT).

    The kernel spreads connections over them; of one socket for all, the process that wakes first
    would take most. A process that is replaced hands its socket on, with the connections that
    wait there. The socket of one that dies is closed, so that the others get what would wait.
    """

    @override
    def _init_shared_socket(self) -> None:
        self.listeners: dict[int, socket.socket] = {}
        self.spawning = 0
        os.register_at_fork(after_in_child=self._leave_others)

    @override
    def _drop_shared_socket(self) -> None:
        for listener in self.listeners.values():
            listener.close()

    @override
    def _spawn_worker(self, idx: int, *args: Any, **options: Any) -> Any:
        self.spawning = idx
        if idx not in self.listeners:
            self.listeners[idx] = self._listener()
        shared: Any = self  # granian types these as what they are before
        shared._sso = self.listeners[idx]
        shared._shd = SocketHolder(shared._sso.fileno(), False, self.backlog)  # type: ignore[call-arg]
        return super()._spawn_worker(idx, *args, **options)

    def _listener(self) -> socket.socket:
        """Return a socket on the address; the process listens on it when it can answer."""
        # As `portal.server.serve.refuse_taken_port` asks: the same address, of IPv4 or IPv6.
        family, kind, protocol, _, place = socket.getaddrinfo(
            self.bind_addr, self.bind_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it (tcp(7))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        listener.bind(place)
        listener.setblocking(False)
        return listener

    def _leave_others(self) -> None:
        """Close the sockets of the other processes in a new one: they live as long as a copy."""
        for index, listener in self.listeners.items():
            if index != self.spawning:
                listener.close()

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
        dead = [index for index in workers if self.wrks[index].inner.exitcode is not None]
        failed = any(self.wrks[index].inner.exitcode == 1 for index in dead)
        if len(dead) < len(self.wrks):  # Else connections wait for the processes that come.
            for index in dead:
                self.listeners.pop(index).close()
        super()._respawn_workers(workers, *args, **options)
        if not failed:
            self.respawned_wrks.clear()
        elif time.monotonic() - self.started_at > YOUNG_SECONDS:
            self.respawned_wrks.clear()
            time.sleep(1)  # The database may be away: no need to ask it more often.


def node(host: str, port: int, processes: int, log_format: str) -> Node:
    """Return the server of the portal on an address; `log_format` is LOG_FORMAT."""
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
        log_dictconfig=granian_config(log_format),
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
    node(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]).serve()
