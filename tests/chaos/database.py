"""PostgreSQL away, frozen, slow or cut off: everybody hears it in time, and it heals by itself."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep

from tests.chaos.cluster import Cluster
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import Asked, Load, refusals_of, told, watching
from tests.chaos.nodes import Node
from tests.support.proxy import Proxy

MAX_CHECK_SECONDS = 2
MAX_PAGE_SECONDS = {True: 2, False: 15}
"""By whether the database is away; where it is slow, an answer takes as many queries as ever."""
MAX_LIVE_SECONDS = 0.1
MAX_RECOVERY_SECONDS = 3
MAX_START_SECONDS = 5
"""Seconds in which a node listens that starts while the database is away."""
SLOW_SECONDS = 0.1
BEFORE_SECONDS = 3


@dataclass(frozen=True)
class Disturbance:
    """How the database is taken away and given back, for how many seconds."""

    title: str
    begin: Callable[[], object]
    end: Callable[[], object]
    seconds: int
    is_away: bool = True


def database(laboratory: Laboratory) -> Iterator[str]:
    """Disturb PostgreSQL under load; yield what went wrong, in sentences."""
    cluster = Cluster(laboratory.folder / "disturbed", laboratory.server)
    cluster.make()
    cluster.start()
    proxy = Proxy(("127.0.0.1", cluster.port))
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
    node = Node(folder=laboratory.folder, database_url=url)
    ledger = Ledger()
    print("\n## PostgreSQL away, frozen, slow, cut off\n")
    print(
        "| it is | s | 503 | slowest ms: check | page | live | s to recover: check | page "
        "| new node: listens | ready |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    try:
        people = laboratory.people(url)
        node.start()
        with Load([node.port], people, ledger) as load:
            for each in _disturbances(cluster, proxy, laboratory.is_quick):
                sleep(BEFORE_SECONDS)
                yield from _disturb(each, node, load, laboratory)
        node.must_live()
        lost = [*differences(ledger, cluster.url, laboratory.folder)]
        lost += refusals_of(ledger, node.port)
        print(f"\nAcknowledged: {ledger.counts()}; lost: {len(lost)}.")
        yield from lost
    finally:
        node.stop()
        proxy.close()
        cluster.remove()


def _disturbances(cluster: Cluster, proxy: Proxy, is_quick: bool) -> Iterator[Disturbance]:
    seconds = 6 if is_quick else 15

    def slow_down(seconds: float) -> None:
        proxy.delay = seconds

    yield Disturbance("stopped", cluster.stop, cluster.start, seconds)
    yield Disturbance("killed", lambda: cluster.send(signal.SIGKILL), cluster.start, seconds)
    yield Disturbance(
        "frozen (SIGSTOP)",
        lambda: cluster.send(signal.SIGSTOP),
        lambda: cluster.send(signal.SIGCONT),
        8 if is_quick else 30,
    )
    yield Disturbance("cut half-open", proxy.forwards.clear, proxy.forwards.set, seconds)
    yield Disturbance(
        "slow by 100 ms", lambda: slow_down(SLOW_SECONDS), lambda: slow_down(0), seconds, False
    )


def _disturb(each: Disturbance, node: Node, load: Load, laboratory: Laboratory) -> Iterator[str]:
    second = Node(folder=laboratory.folder, database_url=node.environment["DATABASE_URL"])
    with watching(node.port, "/healthz/live") as lives:
        each.begin()
        begun = monotonic()
        try:
            second.launch()
            second.await_ready("/healthz/live")
            listens = monotonic() - begun
            sleep(max(0, begun + each.seconds - monotonic()))
        finally:
            ended = monotonic()
            each.end()
        mended = monotonic()
    try:
        second.await_ready()
        ready = monotonic() - mended
        sleep(max(0, mended + MAX_RECOVERY_SECONDS + 2 - monotonic()))
    finally:
        second.stop()
    heard = load.between(begun, ended)
    unavailable = [asked for asked in heard if asked.status == 503]
    checks = [asked for asked in heard if asked.what == "check"]
    pages = [asked for asked in heard if asked.what != "check"]
    to_check = load.first_good_after(mended, lambda asked: asked.what == "check")
    to_page = load.first_good_after(mended, lambda asked: asked.what == "page")
    slowest = [_slowest(some) for some in (checks, pages, lives)]
    figures = [f"{mended - begun:.0f}", f"{len(unavailable):,} of {len(heard):,}"]
    figures += [f"{seconds * 1000:.0f}" for seconds in slowest]
    figures += [f"{seconds:.1f}" for seconds in (to_check, to_page, listens, ready)]
    print(f"| {each.title} | {' | '.join(figures)} |", flush=True)
    yield from _judge(each, heard, load.between(mended + MAX_RECOVERY_SECONDS, monotonic()))
    limits = [
        ("the slowest check", slowest[0], MAX_CHECK_SECONDS),
        ("the slowest page", slowest[1], MAX_PAGE_SECONDS[each.is_away]),
        ("/healthz/live", slowest[2], MAX_LIVE_SECONDS),
        ("the first good check afterwards", to_check, MAX_RECOVERY_SECONDS),
        ("the first good page afterwards", to_page, MAX_RECOVERY_SECONDS),
        ("a new node until it listened", listens, MAX_START_SECONDS),
    ]
    for what, seconds, at_most in limits:
        if seconds > at_most:
            yield f"PostgreSQL {each.title}: {what} took {seconds:.2f} s (limit {at_most})."


def _judge(each: Disturbance, heard: list[Asked], later: list[Asked]) -> Iterator[str]:
    if not heard:
        yield f"PostgreSQL {each.title}: nobody heard anything."
    for asked in heard:
        if each.is_away and asked.status == 503:
            if asked.headers["Retry-After"] is None:
                yield f"PostgreSQL {each.title}: no Retry-After in {told(asked)}"
        elif not asked.is_good:
            yield f"PostgreSQL {each.title}: {told(asked)}"
    for asked in later:
        if not asked.is_good:
            yield f"After PostgreSQL was {each.title}: {told(asked)}"


def _slowest(asked: list[Asked]) -> float:
    return max((each.seconds for each in asked), default=0)
