"""Real servers of the portal, and wrk that asks them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from itertools import count, islice
from pathlib import Path
from statistics import median
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.server import LivePortal

CONNECTIONS = 32
WORKERS = 2
SCRIPT = Path(__file__).with_name("requests.lua")
TIMEOUT_SECONDS = 10
"""After which a request counts as failed."""


class ProductServer(LivePortal):
    """The portal as `manage.py serve` runs it, with limits that nobody reaches."""

    workers = WORKERS

    def __init__(self, *, folder: Path, database_url: str) -> None:
        super().__init__(folder=folder, database_url=database_url, CHECKS_PER_MINUTE="10000000")

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--workers", str(self.workers)]
        return [sys.executable, "manage.py", "serve", *options]


class BaselineServer(LivePortal):
    """granian on the same database, with the views of `baselines.py` alone."""

    application = "tests.bench.wsgi:application"
    workers = WORKERS

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--log-level", "warning"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.workers)),
            *("--blocking-threads", "2", "--backpressure", "64", self.application),
        ]


class LimitServer(BaselineServer):
    """granian on the same database, with the bare function of `limit.py`."""

    application = "tests.bench.limit:application"


@dataclass(frozen=True)
class Target:
    """What wrk asks.

    `requests` is a file of requests (see requests.lua) or, where none may be sent twice, a file
    for each run. `expected` is the status that every answer must have, and the pattern that its
    Location begins with; without it every status below 400 will do. `beside` is asked at the same
    time.
    """

    name: str
    url: str
    requests: Path | Iterator[Path] | None = None
    cookies: str = ""
    headers: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    connections: int = CONNECTIONS
    beside: tuple["Target", ...] = ()


@dataclass(frozen=True)
class Figures:
    """Of one run, or the medians of several: requests per second, milliseconds."""

    rate: float
    p50: float
    p99: float


def measured(
    targets: Sequence[Target], *, seconds: int, runs: int, warm_up: int = 2
) -> dict[str, Figures]:
    """Return the medians of every target: each gets a run in turn, so that all suffer alike."""
    for target in targets:
        # Connections, prepared statements, what a process remembers.
        wrk(target, seconds=warm_up)
    found: dict[str, list[Figures]] = {target.name: [] for target in targets}
    for _ in range(runs):
        for target in targets:
            figures = wrk(target, seconds=seconds)
            if not figures.rate:
                raise RuntimeError(f"{target.name}: no answer in {seconds} s.")
            found[target.name].append(figures)
    return {name: medians(figures) for name, figures in found.items()}


def medians(figures: Sequence[Figures]) -> Figures:
    def of(value: Callable[[Figures], float]) -> float:
        return median(map(value, figures))

    return Figures(of(lambda f: f.rate), of(lambda f: f.p50), of(lambda f: f.p99))


def wrk(target: Target, *, seconds: int) -> Figures:
    """Run wrk once. Raises RuntimeError when a single answer was not what it must be."""
    # What runs beside begins first and ends last.
    others = [(other, _started(other, seconds + 1)) for other in target.beside]
    figures = _figures(target, _started(target, seconds))
    for other, process in others:
        _figures(other, process)
    return figures


def _started(target: Target, seconds: int) -> subprocess.Popen[str]:
    program = shutil.which("wrk")
    assert program is not None
    requests = target.requests
    file = next(requests) if isinstance(requests, Iterator) else requests
    headers = [*target.headers, *([f"Cookie: {target.cookies}"] if target.cookies else [])]
    command = [
        *(program, "-t1", f"-c{target.connections}", f"-d{seconds}"),
        *("--timeout", f"{TIMEOUT_SECONDS}s", "-s", str(SCRIPT)),
        *(part for header in headers for part in ("-H", header)),
        *(target.url, "--", str(file or "-"), *target.expected),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _figures(target: Target, process: subprocess.Popen[str]) -> Figures:
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{target.name}: wrk ended with status {process.returncode}.\n{printed}")
    told = json.loads(printed.splitlines()[-1])
    if told["failed"]:
        wrong = f"{told['failed']} requests failed, with {told['first'] or 'an error'}"
        raise RuntimeError(f"{target.name}: {wrong}.\n{printed}")
    rate = told["requests"] / told["microseconds"] * 1_000_000
    return Figures(rate, told["p50"] / 1000, told["p99"] / 1000)


def fetched(target: Target) -> tuple[bytes, Message]:
    """Return body and headers of what a GET of the address answers, uncompressed."""
    request = Request(target.url, headers={"Cookie": target.cookies})
    with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_SECONDS) as answer:
        return answer.read(), answer.headers


def parts(file: Path, lines: int) -> Iterator[Path]:
    """Yield a file for each so many lines of a file, so that no line is sent twice."""
    with file.open() as left:
        for number in count():
            part = list(islice(left, lines))
            if len(part) < lines:
                raise RuntimeError(f"{file.name} has too few requests for another run.")
            path = file.with_suffix(f".part-{number}")
            path.write_text("".join(part))
            yield path


def run_python(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a module of ours in a process of its own; return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        check=True,
        env=os.environ | dict(environment),
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
