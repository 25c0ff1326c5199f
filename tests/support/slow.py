"""Slow clients against a portal, and good ones that are served among them."""

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHECK = "/public/checklicense"
LOGIN = "/accounts/login/"
JSON = "Content-Type: application/json; charset=utf-8"
FORM = "Content-Type: application/x-www-form-urlencoded"
PIPELINED = 40
"""Files that a client asks for which never reads: several megabytes, more than kernels keep."""

type Address = tuple[str, int]


@dataclass(frozen=True)
class Crowd:
    """How many clients there are of each kind."""

    slow: int
    never_reading: int
    silent: int


SMALL = Crowd(60, 20, 200)
FULL = Crowd(200, 50, 1_000)


@dataclass
class Served:
    """What good clients got: seconds of each answer, and what was no good answer."""

    checks: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def within(self, share: float) -> float:
        """Return the seconds within which this share of the answers came."""
        both = sorted(self.checks + self.pages)
        return both[int(len(both) * share)] if both else float("inf")


def serve(address: Address, body: bytes, session: str, seconds: float) -> Served:
    """Ask for checks and pages, one of each at a time, for so many seconds."""
    served = Served()
    end = time.monotonic() + seconds
    check = _head("POST", CHECK, JSON, f"Content-Length: {len(body)}") + body
    page = _head("GET", "/subscriptions/", _cookie(session))
    askers = [
        threading.Thread(target=_ask, args=(address, request, end, times, served.failures))
        for request, times in ((check, served.checks), (page, served.pages))
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return served


def _cookie(session: str) -> str:
    return f"Cookie: sessionid={session}"


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def _ask(
    address: Address, request: bytes, end: float, times: list[float], failures: list[str]
) -> None:
    """Ask on a new connection each time, so that none of it rests on one that is open already."""
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            with socket.create_connection(address, timeout=20) as wire:
                wire.sendall(request)
                first = wire.recv(65_536)
        except OSError as error:
            failures.append(repr(error))
            continue
        times.append(time.monotonic() - begun)
        if not first.startswith(b"HTTP/1.1 200 "):
            failures.append(first[:80].decode("latin-1"))
        time.sleep(0.02)


@contextmanager
def held_by(crowd: Crowd, address: Address, session: str) -> Iterator[None]:
    """Hold the connections of a crowd; one that the server ends is opened anew."""
    clients = list(_clients(crowd, address, session))
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(clients, ended))
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        for client in clients:
            client.wire.close()


class _Client:
    """One connection, how it is opened, and whether it sends a byte now and then."""

    def __init__(self, reach: Callable[[], socket.socket], *, drips: bool = False) -> None:
        self.reach = reach
        self.drips = drips
        self.wire = reach()

    def is_ended(self) -> bool:
        poll = select.poll()
        poll.register(self.wire, select.POLLRDHUP)
        return bool(poll.poll(0))


def _clients(crowd: Crowd, address: Address, session: str) -> Iterator[_Client]:
    json = _head("POST", CHECK, JSON, "Content-Length: 1000")
    form = _head("POST", "/accounts/password/change/", FORM, _cookie(session), "Content-Length: 99")
    files = _head("GET", _static_file(address)) * PIPELINED
    for number in range(crowd.slow):
        text = json if number % 2 else form
        yield _Client(lambda text=text: _reach(address, text), drips=True)  # type: ignore[misc]
    for _ in range(crowd.never_reading):
        yield _Client(lambda: _reach(address, files, room=2_048))
    for _ in range(crowd.silent):
        yield _Client(lambda: _reach(address))


def _reach(address: Address, text: bytes = b"", *, room: int | None = None) -> socket.socket:
    """Connect and send a text; `room` is how many bytes the kernel takes for this client."""
    wire = socket.socket()
    if room is not None:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    wire.settimeout(20)
    try:
        wire.connect(address)
        wire.sendall(text)
    except OSError:
        wire.close()
        raise
    return wire


def _static_file(address: Address) -> str:
    with _reach(address, _head("GET", LOGIN, "Connection: close")) as wire:
        page = b"".join(iter(lambda: wire.recv(65_536), b""))
    found = re.search(rb"/static/[^\"]+\.css", page)
    assert found is not None
    return found[0].decode()


def _keep(clients: list[_Client], ended: threading.Event) -> None:
    """Look at each client every second; let those that are slow send a byte every five."""
    second = 0
    while not ended.wait(1):
        second += 1
        for number, client in enumerate(clients):
            with suppress(OSError):  # The server hangs up meanwhile: the next second finds it.
                if client.is_ended():
                    ended_wire, client.wire = client.wire, client.reach()
                    ended_wire.close()
                elif client.drips and (number + second) % 5 == 0:
                    client.wire.sendall(b"a")
