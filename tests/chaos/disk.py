"""A full disk under a database, then under the logs: no key without a row, and reading goes on.

The disk is a tmpfs, which only root may mount; anybody may be root of a namespace (unshare -rm).
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.chaos.cluster import Cluster
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import NO_ANSWER, Asked, Load, Wire, refusals_of, told
from tests.chaos.nodes import Node

MIB = 1024 * 1024
SIZE_MIB = 256
WAL_MIB = 64
"""Size of the file that PostgreSQL writes ahead to: it is there whole, so commits find room."""
READING = {"check", "page"}
HEALED_WITHIN_SECONDS = 5


def disk(laboratory: Laboratory) -> Iterator[str]:
    """Fill a disk under load, and make room; yield what went wrong, in sentences."""
    print("\n## A full disk\n")
    print(
        "| under | acknowledged | lost | s full | reads | failed | changes | failed | s to heal |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with _mounted(laboratory.folder / "small") as small:
        url = f"sqlite:///{small / 'portal.sqlite3'}"
        node = Node(folder=laboratory.folder, database_url=url)
        yield from _fill(laboratory, "the database (SQLite)", small, node, url)
    with _mounted(laboratory.folder / "server") as small:
        cluster = Cluster(small / "data", laboratory.server)
        cluster.make(f"--wal-segsize={WAL_MIB}")
        cluster.start()
        node = Node(folder=laboratory.folder, database_url=cluster.url)
        try:
            yield from _fill(laboratory, "the database (PostgreSQL)", small, node, cluster.url)
        finally:
            cluster.remove()
    with _mounted(laboratory.folder / "smaller") as small:
        laboratory.server.psql("CREATE DATABASE disk")
        url = laboratory.server.url("disk")
        logging = {"LOG_LEVEL": "INFO", "ACCESS_LOG": "all"}
        node = Node(folder=small, database_url=url, **logging)
        yield from _fill(laboratory, "the logs (PostgreSQL)", small, node, url)


def _fill(laboratory: Laboratory, title: str, small: Path, node: Node, url: str) -> Iterator[str]:
    ledger = Ledger()
    people = laboratory.people(url)
    ballast = small / "ballast"
    seconds = 6 if laboratory.is_quick else 30
    node.start()
    try:
        with Load([node.port], people, ledger) as load:
            sleep(5)
            _write_until_full(ballast)
            begun = monotonic()
            sleep(seconds)
            ready = Wire([node.port]).ask("ready", "GET", "/healthz/ready")
            ended = monotonic()
            ballast.unlink()
            node.await_ready()
            sleep(HEALED_WITHIN_SECONDS)
        lost = [*differences(ledger, url, laboratory.folder), *refusals_of(ledger, node.port)]
    finally:
        node.stop()
    heard = load.between(begun, ended)
    reads = [asked for asked in heard if asked.what in READING]
    changes = [asked for asked in heard if asked.what not in READING]
    heals = load.first_good_after(ended, lambda asked: asked.what in {"generate", "reset"})
    figures = [f"{ended - begun:.0f}"]
    for some in (reads, changes):
        figures += [f"{len(some):,}", f"{sum(not asked.is_good for asked in some):,}"]
    told_figures = " | ".join(figures)
    print(
        f"| {title} | {ledger.counts()} | {len(lost)} | {told_figures} | {heals:.1f} |", flush=True
    )
    yield from lost
    yield from _judge(title, reads, changes, ready, is_seen=url.startswith("sqlite"))
    if heals > HEALED_WITHIN_SECONDS:
        yield f"Full under {title}: the first change came {heals:.1f} s after there was room."


def _judge(
    title: str, reads: list[Asked], changes: list[Asked], ready: Asked, *, is_seen: bool
) -> Iterator[str]:
    """Yield what must not be; `is_seen` is whether the portal sees the disk of its database."""
    is_database = title.startswith("the database")
    for asked in reads if is_database else [*reads, *changes]:
        if not asked.is_good:
            yield f"Full under {title}: {told(asked)}"
    if not is_database:
        return
    for asked in changes:
        if not asked.is_good and asked.status not in {503, 404}:
            yield f"Full under {title}: {told(asked)}"
    if all(asked.is_good for asked in changes):
        yield f"Full under {title}: every change was made, so that it was not full."
    if not is_seen:
        return
    reasons = json.loads(ready.body).get("reasons", []) if ready.status != NO_ANSWER else []
    if not any("make room" in reason for reason in reasons):
        yield f"Full under {title}: readiness says nothing of the disk: {told(ready)}"


def _write_until_full(file: Path) -> None:
    """Leave not a byte: what is written later finds the disk full."""
    with file.open("wb", buffering=0) as ballast:
        for size in (MIB, 1024, 1):
            try:
                while ballast.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """Yield a folder with a small disk of its own. Raises SystemExit for who may not mount."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs"]
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        raise SystemExit("A small disk takes root to mount: run this under `unshare -rm`.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
