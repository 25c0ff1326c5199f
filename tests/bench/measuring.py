"""Real servers of the portal, and wrk that asks them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.server import LivePortal

CONNECTIONS = 32
WORKERS = 2
SCRIPT = Path(__file__).with_name("check.lua")


class ProductServer(LivePortal):
    """The portal as `manage.py serve` runs it, with limits that nobody reaches."""

    def __init__(self, *, folder: Path, database_url: str) -> None:
        super().__init__(folder=folder, database_url=database_url, CHECKS_PER_MINUTE="10000000")

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--workers", str(WORKERS)]
        return [sys.executable, "manage.py", "serve", *options]


class BaselineServer(LivePortal):
    """granian on the same database, with the views of `baselines.py` alone."""

    application = "tests.bench.wsgi:application"

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--log-level", "warning"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(WORKERS)),
            *("--blocking-threads", "2", "--backpressure", "64", self.application),
        ]


class LimitServer(BaselineServer):
    """granian on the same database, with the bare function of `limit.py`."""

    application = "tests.bench.limit:application"


@dataclass(frozen=True)
class Target:
    """What wrk asks: an address, and the bodies it sends there where there are any."""

    name: str
    url: str
    bodies: Path | None = None


@dataclass(frozen=True)
class Figures:
    """Of one run, or the medians of several: requests per second, milliseconds."""

    rate: float
    p50: float
    p99: float


def measured(targets: Sequence[Target], *, seconds: int, runs: int) -> dict[str, Figures]:
    """Return the medians of every target: each gets a run in turn, so that all suffer alike."""
    for target in targets:
        wrk(target, seconds=2)  # connections, prepared statements, what a process remembers
    found: dict[str, list[Figures]] = {target.name: [] for target in targets}
    for _ in range(runs):
        for target in targets:
            found[target.name].append(wrk(target, seconds=seconds))
    return {name: medians(figures) for name, figures in found.items()}


def medians(figures: Sequence[Figures]) -> Figures:
    def of(value: Callable[[Figures], float]) -> float:
        return median(map(value, figures))

    return Figures(of(lambda f: f.rate), of(lambda f: f.p50), of(lambda f: f.p99))


def wrk(target: Target, *, seconds: int) -> Figures:
    """Run wrk once. Raises RuntimeError when a single answer was no success."""
    program = shutil.which("wrk")
    assert program is not None
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(SCRIPT), target.url]
    if target.bodies is not None:
        command += ["--", str(target.bodies)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = json.loads(printed.splitlines()[-1])
    if told["failed"]:
        raise RuntimeError(f"{target.name}: {told['failed']} requests failed.\n{printed}")
    rate = told["requests"] / told["microseconds"] * 1_000_000
    return Figures(rate, told["p50"] / 1000, told["p99"] / 1000)


def run_python(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a module of ours in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", *arguments], check=True, env=os.environ | dict(environment)
    )
