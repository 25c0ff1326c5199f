"""How long a node takes until it answers, and how much memory its process has then."""

import http.client
import re
from pathlib import Path
from statistics import median
from time import monotonic, sleep

from tests.bench.bench import Bench
from tests.bench.checks import CHECK
from tests.bench.measuring import BaselineServer, ProductServer
from tests.support.server import READY_WITHIN, LivePortal

CHECKS = 1_000
PLAIN = "Django with the views of the baselines"


class AtOnce(LivePortal):
    """A server in one process that is there when /healthz/live answers."""

    workers = 1

    def await_ready(self, path: str = "") -> None:
        end = monotonic() + READY_WITHIN
        while monotonic() < end:
            self.must_live()
            try:
                answers(self.port, "GET", "/healthz/live", [b""])
            except OSError:
                sleep(0.005)
            else:
                return
        raise TimeoutError(f"No answer within {READY_WITHIN} s. The log:\n{self.log()}")


class OnePortal(AtOnce, ProductServer):
    """The portal in one process."""


class OneBaseline(AtOnce, BaselineServer):
    """The baselines in one process."""


def start(bench: Bench) -> None:
    """The first answer after a start, and the memory after a thousand checks."""
    print(f"\n## Start, and memory of a process after {CHECKS:,} checks\n")
    print("| database | what | s to the first answer | of Django | MB | of Django |")
    print("| --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for title, url in bench.databases("start"):
        file = bench.fill(url, licenses=CHECKS, probes=CHECKS)
        bodies = file.read_bytes().splitlines()
        baseline = OneBaseline(folder=bench.folder, database_url=url)
        portal = OnePortal(folder=bench.folder, database_url=url)
        plain, own = [], []
        for _ in range(bench.size.runs):
            plain.append(started(baseline, "GET", "/select", [b""] * CHECKS))
            own.append(started(portal, "POST", CHECK, bodies))
        least_seconds, least_memory = map(median, zip(*plain, strict=True))
        for name, figures in ((PLAIN, plain), ("portal", own)):
            seconds, memory = map(median, zip(*figures, strict=True))
            print(
                f"| {title} | {name} | {seconds:.2f} | {seconds / least_seconds:.2f} "
                f"| {memory:.0f} | {memory / least_memory:.2f} |",
                flush=True,
            )


def started(server: LivePortal, method: str, path: str, bodies: list[bytes]) -> tuple[float, float]:
    """Start a server, send it requests, and stop it.

    Return the seconds to its first answer, and the resident megabytes (10^6 bytes) of its largest
    process after the requests, the one that supervises the others left out.
    """
    begun = monotonic()
    try:
        server.start()
        seconds = monotonic() - begun
        answers(server.port, method, path, bodies)
        assert server.process is not None
        return seconds, max(map(resident, children(server.process.pid))) / 1_000_000
    finally:
        server.stop()


def answers(port: int, method: str, path: str, bodies: list[bytes]) -> None:
    """Send the requests on one connection. Raises RuntimeError unless each is answered by 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        for body in bodies:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}: {told[:500]!r}")
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Return the processes that this one started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    [kib] = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return 1024 * int(kib)
