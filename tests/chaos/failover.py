"""The primary PostgreSQL is killed and its standby promoted: writes go on, nothing is lost."""

import signal
from collections.abc import Iterator
from time import monotonic, sleep

from tests.chaos.cluster import Cluster
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import Asked, Load, refusals_of, told
from tests.chaos.nodes import Node
from tests.support.proxy import Proxy

WITHIN_SECONDS = 10
DECISION_SECONDS = 2
"""Seconds after which whoever watches the primary promotes the standby."""
DISTANCE_SECONDS = 0.05
"""Seconds by which the standby lies behind, as at another site."""
CUT_SECONDS = 0.3
"""Seconds before its death in which nothing of the primary reaches the standby."""


def failover(laboratory: Laboratory) -> Iterator[str]:
    """Kill the primary under load, and promote the standby; yield what went wrong."""
    primary = Cluster(laboratory.folder / "primary", laboratory.server)
    standby = Cluster(laboratory.folder / "standby", laboratory.server)
    primary.make()
    primary.start()
    link = Proxy(("127.0.0.1", primary.port))
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    node, ledger = Node(folder=laboratory.folder, database_url=url), Ledger()
    print("\n## Failover to a synchronous standby\n")
    print("| acknowledged | lost | s to a change | check | page | failed | restarted |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    try:
        people = laboratory.people(url)
        standby.copy(link.port)
        standby.start()
        primary.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.psql("SELECT pg_reload_conf()")
        link.delay = DISTANCE_SECONDS
        node.start()
        processes = node.processes
        with Load([node.port], people, ledger) as load:
            sleep(5 if laboratory.is_quick else 20)
            link.forwards.clear()
            sleep(CUT_SECONDS)
            primary.send(signal.SIGKILL)
            killed = monotonic()
            sleep(DECISION_SECONDS)
            standby.promote()
            sleep(WITHIN_SECONDS)
        restarted = len(set(processes) - set(node.processes))
        lost = [*differences(ledger, standby.url, laboratory.folder)]
        lost += refusals_of(ledger, node.port)
    finally:
        node.stop()
        link.close()
        standby.remove()
        primary.remove()
    times = {
        "change": load.first_good_after(killed, lambda asked: asked.what in {"generate", "reset"}),
        "check": load.first_good_after(killed, lambda asked: asked.what == "check"),
        "page": load.first_good_after(killed, lambda asked: asked.what == "page"),
    }
    failed = [asked for asked in load.asked if not asked.is_good]
    told_times = " | ".join(f"{seconds:.1f}" for seconds in times.values())
    counts = f"{len(failed):,} of {len(load.asked):,} | {restarted}"
    print(f"| {ledger.counts()} | {len(lost)} | {told_times} | {counts} |", flush=True)
    yield from lost
    yield from _judge(failed, killed)
    for what, seconds in times.items():
        if seconds > WITHIN_SECONDS:
            yield f"The first good {what} came {seconds:.1f} s after the death of the primary."
    if restarted:
        yield f"{restarted} processes of the node were restarted."


def _judge(failed: list[Asked], killed: float) -> Iterator[str]:
    for asked in failed:
        is_expected = (
            asked.status == 503 and killed < asked.end and asked.at < killed + WITHIN_SECONDS
        )
        if not is_expected:
            yield f"Failover: {told(asked)}"
