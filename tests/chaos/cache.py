"""The shared cache is killed and frozen: everything goes on, as fast as usual."""

import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import Asked, Load, refusals_of, told
from tests.chaos.nodes import Node
from tests.support.server import free_port

MAX_EXTRA_SECONDS = 0.1
"""Seconds by which nine in ten answers may come later than usual."""


class Cache:
    """A Redis of the laboratory, which keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self.process = subprocess.Popen(
            ["redis-server", *options, self.folder], stdout=subprocess.DEVNULL
        )

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()


def cache(laboratory: Laboratory) -> Iterator[str]:
    """Kill and freeze Redis under load, on both databases; yield what went wrong."""
    seconds = 6 if laboratory.is_quick else 30
    print(f"\n## Redis killed, and frozen, for {seconds} s each\n")
    print("| database | Redis is | requests | failed | p50 ms | p90 ms | p99 ms | lost |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("cache"):
        ledger, redis = Ledger(), Cache(laboratory.folder)
        node = Node(
            folder=laboratory.folder,
            database_url=url,
            CACHE_URL=redis.url,
            CHECKS_PER_MINUTE="10000000",
        )
        spans: list[tuple[str, float, float]] = []
        try:
            people = laboratory.people(url)
            node.start()
            with Load([node.port], people, ledger) as load:
                sleep(3)
                kill, freeze = (
                    partial(redis.send, signal.SIGKILL),
                    partial(redis.send, signal.SIGSTOP),
                )
                thaw = partial(redis.send, signal.SIGCONT)
                for title, begin, end in (
                    ("there", thaw, thaw),
                    ("killed", kill, redis.start),
                    ("frozen", freeze, thaw),
                ):
                    begin()
                    begun = monotonic()
                    sleep(seconds)
                    spans.append((title, begun, monotonic()))
                    end()
                    sleep(3)
            lost = [*differences(ledger, url, laboratory.folder), *refusals_of(ledger, node.port)]
        finally:
            node.stop()
            redis.send(signal.SIGKILL)
        usual = None
        for title, begun, ended in spans:
            asked = load.between(begun, ended)
            times = [_within(asked, share) for share in (0.5, 0.9, 0.99)]
            failed = [each for each in asked if not each.is_good]
            figures = " | ".join(f"{each * 1000:.0f}" for each in times)
            counts = f"{len(asked):,} | {len(failed)}"
            print(f"| {database} | {title} | {counts} | {figures} | {len(lost)} |", flush=True)
            usual = usual or times
            if times[1] > usual[1] + MAX_EXTRA_SECONDS:
                yield f"{database}: with Redis {title}, an answer takes {times[1] * 1000:.0f} ms."
            for each in failed:
                yield f"{database}: {told(each)}"
        yield from lost


def _within(asked: list[Asked], share: float) -> float:
    """Return the seconds within which this share of the answers came."""
    times = sorted(each.seconds for each in asked)
    return times[int(len(times) * share)]
