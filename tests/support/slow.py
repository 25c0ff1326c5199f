"""Slow clients against a portal: `python -m tests.support.slow URL BODY_FILE SESSION [SECONDS]`.

BODY_FILE has the body of a check that passes, SESSION a session's cookie value. Prints how many
good checks and pages were answered meanwhile, and in what time.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CHECK = "/public/checklicense"
JSON = "Content-Type: application/json; charset=utf-8"
FORM = "Content-Type: application/x-www-form-urlencoded"


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

    def p99(self) -> float:
        """Return the seconds within which 99 of 100 were answered."""
        both = sorted(self.checks + self.pages)
        return both[int(len(both) * 0.99)]


def serve_among(
    address: tuple[str, int], body: bytes, session: str, crowd: Crowd, seconds: float
) -> Served:
    """Ask for checks and pages for so many seconds while the crowd holds its connections."""
    served = Served()
    end = time.monotonic() + seconds
    cookie = f"Cookie: sessionid={session}"
    check = _head("POST", CHECK, JSON, f"Content-Length: {len(body)}") + body
    page = _head("GET", "/subscriptions/", cookie)
    with _crowd(address, crowd, cookie):
        askers = [
            threading.Thread(target=_ask, args=(address, request, end, times, served.failures))
            for request, times in ((check, served.checks), (page, served.pages))
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    return served


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def _ask(
    address: tuple[str, int], request: bytes, end: float, times: list[float], failures: list[str]
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
def _crowd(address: tuple[str, int], crowd: Crowd, cookie: str) -> Iterator[None]:
    """Hold the connections of slow, never reading and silent clients."""
    ended = threading.Event()
    with ExitStack() as stack:
        slow = []
        for number in range(crowd.slow):
            wire = stack.enter_context(socket.create_connection(address, timeout=20))
            lines = (CHECK, JSON) if number % 2 else ("/accounts/password/change/", FORM, cookie)
            wire.sendall(_head("POST", *lines, "Content-Length: 1000"))
            slow.append(wire)
        for _ in range(crowd.never_reading):
            wire = socket.socket()
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            wire.settimeout(20)
            wire.connect(address)
            stack.enter_context(wire)
            wire.sendall(_head("GET", "/accounts/login/") * 50)
        for _ in range(crowd.silent):
            stack.enter_context(socket.create_connection(address, timeout=20))
        drip = threading.Thread(target=_drip, args=(slow, ended))
        drip.start()
        try:
            yield
        finally:
            ended.set()
            drip.join()


def _drip(wires: list[socket.socket], ended: threading.Event) -> None:
    """Send a byte on each of them every five seconds."""
    while not ended.wait(1):
        for wire in wires[int(time.monotonic()) % 5 :: 5]:
            try:
                wire.sendall(b"a")
            except OSError:
                continue


def main() -> None:
    url, file, session, *seconds = sys.argv[1:]
    address = ("127.0.0.1", urlsplit(url).port or 80)
    limit = float(seconds[0]) if seconds else 60
    served = serve_among(address, Path(file).read_bytes(), session, FULL, limit)
    told = {
        "checks": len(served.checks),
        "pages": len(served.pages),
        "p99 ms": round(served.p99() * 1000),
        "failures": served.failures[:5],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
