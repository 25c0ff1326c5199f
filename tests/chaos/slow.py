"""Slow, silent and never reading clients take nothing from good ones."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measuring import ProductServer, run_python
from tests.chaos.laboratory import Laboratory
from tests.support.slow import FULL, SMALL, held_by, serve

MAX_P99_SECONDS = 0.25
MAX_GROWTH_MIB = 64
CLOSED_WITHIN_SECONDS = 15
"""Seconds after the crowd has gone in which the server closes what it left."""


def slow(laboratory: Laboratory) -> Iterator[str]:
    """Serve good clients among a crowd, on both databases; yield what went wrong, in sentences."""
    crowd, seconds = (SMALL, 10) if laboratory.is_quick else (FULL, 60)
    print(
        f"\n## Slow clients: {crowd.slow} send a byte per 5 s, {crowd.never_reading} never read, "
        f"{crowd.silent:,} send nothing, for {seconds} s\n"
    )
    print("| database | checks | pages | failures | p50 ms | p99 ms | memory MiB | left open |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("slow"):
        file = laboratory.folder / "prepared.json"
        run_python(["tests.chaos.prepare", "0", str(file)], {"DATABASE_URL": url})
        prepared = json.loads(file.read_text())
        body, session = prepared["body"].encode(), prepared["session"]
        server = ProductServer(folder=laboratory.folder, database_url=url)
        address = ("127.0.0.1", server.port)
        server.start()
        try:
            serve(address, body, session, 3)  # so that the processes have loaded what they need
            before = memory(server)
            with held_by(crowd, address, session):
                served = serve(address, body, session, seconds)
                growth = memory(server) - before
            left = left_open(server.port)
        finally:
            server.stop()
        p50, p99 = served.within(0.5), served.within(0.99)
        counts = f"{len(served.checks):,} | {len(served.pages):,} | {len(served.failures)}"
        times = f"{p50 * 1000:.0f} | {p99 * 1000:.0f}"
        print(f"| {database} | {counts} | {times} | {growth:.0f} | {left} |", flush=True)
        if served.failures:
            count, first = len(served.failures), served.failures[0]
            yield f"{database}: {count} good requests failed, the first with {first}."
        if not (served.checks and served.pages):
            yield f"{database}: No check or no page was answered."
        if p99 >= MAX_P99_SECONDS:
            at_most = MAX_P99_SECONDS * 1000
            yield f"{database}: p99 of good requests was {p99 * 1000:.0f} ms (limit {at_most:.0f})."
        if growth >= MAX_GROWTH_MIB:
            yield f"{database}: Memory grew by {growth:.0f} MiB, not by less than {MAX_GROWTH_MIB}."
        if left:
            yield f"{database}: {left} connections were open when all clients had gone."


def memory(server: ProductServer) -> float:
    """Return the MiB that the processes of a server hold."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in children.read_text().split()]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in statuses) / 1024


def left_open(port: int) -> int:
    """Return how many connections to a port its server still holds after a while."""
    end = time.monotonic() + CLOSED_WITHIN_SECONDS
    while (count := _held(port)) and time.monotonic() < end:
        time.sleep(0.2)
    return count


def _held(port: int) -> int:
    """Count the sockets of a port that a process holds, but for the listening one (proc(5))."""
    listening, local = "0A", f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(local) and row[3] != listening and row[9] != "0" for row in rows)
