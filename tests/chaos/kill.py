"""Processes of a node die at any moment, by SIGKILL: nothing that was acknowledged is lost."""

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic, sleep

from portal.server.supervisor import LOOK_SECONDS
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import NO_ANSWER, Load, refusals_of, told
from tests.chaos.nodes import Node

WITHIN_SECONDS = 5
"""Seconds after a death within which the first good answer comes."""
PAUSES = (0.3, 1.5)
"""Seconds between two deaths of processes: the second often comes while the first is mended."""
WHOLE = 5
"""Each so many deaths the whole node dies."""


@dataclass(frozen=True)
class Death:
    """When somebody died (monotonic), and whether the node had to be started again."""

    at: float
    is_whole: bool
    is_wrong: bool = False
    """Whether the node went down with a process that it starts anew by itself."""


def kill(laboratory: Laboratory) -> Iterator[str]:
    """Kill processes and the whole node, under load; yield what went wrong, in sentences."""
    count = 10 if laboratory.is_quick else 50
    print(f"\n## kill -9, {count} times: of a random process, each {WHOLE}th time of all at once\n")
    print("| database | acknowledged | lost | s to a good answer: process | node | failed |")
    print("| --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("kill"):
        ledger, node = Ledger(), Node(folder=laboratory.folder, database_url=url)
        people = laboratory.people(url)
        node.start()
        try:
            with Load([node.port], people, ledger) as load:
                deaths = list(_deaths(node, count))
                sleep(WITHIN_SECONDS)
            node.await_ready()
            lost = [*differences(ledger, url, laboratory.folder), *refusals_of(ledger, node.port)]
        finally:
            node.stop()
        waits = {death: load.first_good_after(death.at) for death in deaths}
        of_process = max(wait for death, wait in waits.items() if not death.is_whole)
        of_node = max(wait for death, wait in waits.items() if death.is_whole)
        failed = [asked for asked in load.asked if not asked.is_good]
        times = f"{of_process:.1f} | {of_node:.1f}"
        share = f"{len(failed):,} of {len(load.asked):,}"
        print(f"| {database} | {ledger.counts()} | {len(lost)} | {times} | {share} |", flush=True)
        if any(death.is_wrong for death in deaths):
            yield f"{database}: The node ended with a process that it starts anew by itself."
        for sentence in lost:
            yield f"{database}: {sentence}"
        if max(waits.values()) > WITHIN_SECONDS:
            late = f"{max(waits.values()):.1f} s (limit {WITHIN_SECONDS})"
            yield f"{database}: The first good answer after a death came in {late}."
        for asked in failed:
            if asked.status not in {NO_ANSWER, 503, 404}:
                yield f"{database}: {told(asked)}"


def _deaths(node: Node, count: int) -> Iterator[Death]:
    """Kill, and start the node again where it went down; yield each death."""
    for number in range(1, count + 1):
        sleep(random.uniform(*PAUSES))
        begun = monotonic()
        is_vital = number % WHOLE == 0
        if is_vital:
            node.stop(how=signal.SIGKILL)
        else:
            victim = random.choice(node.processes)
            is_vital = victim in node.vital
            os.kill(victim, signal.SIGKILL)
            sleep(LOOK_SECONDS * 2)
        is_whole = node.process is None or node.has_died
        if is_whole:
            node.start_again()
            node.await_ready("/healthz/live")
        yield Death(begun, is_whole, is_whole and not is_vital)
