"""`python -m tests.chaos [--quick] [EXPERIMENT ...]`: disturb a portal, and see that it serves.

Prints tables in Markdown; ends with status 1 and sentences when something did not hold.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from portal.server.node import refuse_few_files
from tests.chaos.cache import cache
from tests.chaos.clock import clock
from tests.chaos.database import database
from tests.chaos.disk import disk
from tests.chaos.failover import failover
from tests.chaos.kill import kill
from tests.chaos.laboratory import Laboratory
from tests.chaos.malformed import malformed
from tests.chaos.revoke import revoke
from tests.chaos.rotation import rotation
from tests.chaos.slow import slow
from tests.chaos.upgrade import upgrade
from tests.chaos.worker import worker
from tests.support.scratch import scratch

type Experiment = Callable[[Laboratory], Iterator[str]]
"""Prints what it finds, and yields in sentences what did not hold."""

EXPERIMENTS: dict[str, Experiment] = {
    "slow": slow,
    "kill": kill,
    "database": database,
    "rotation": rotation,
    "failover": failover,
    "cache": cache,
    "clock": clock,
    "disk": disk,
    "revoke": revoke,
    "malformed": malformed,
    "worker": worker,
    "upgrade": upgrade,
}


PROGRAMS = ("redis-server", "faketime")
"""What is not installed from PyPI."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, with fewer disturbances")
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    options = parser.parse_args()
    unknown = set(options.experiments) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}.")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.exit(f"{' and '.join(missing)} must be installed: `make chaos` does it on Debian.")
    if sys.platform != "linux":
        sys.exit("The experiments look at processes and connections as Linux shows them.")
    refuse_few_files()  # as the server does: each connection has an end here too
    failures: list[str] = []
    with scratch("portal-chaos-", log_level="ERROR") as (folder, server):
        laboratory = Laboratory(folder, server, options.quick)
        for experiment in options.experiments or EXPERIMENTS:
            failures += EXPERIMENTS[experiment](laboratory)
    if failures:
        counts = Counter(failures)
        times = {sentence: f" ({n:,} times)" if n > 1 else "" for sentence, n in counts.items()}
        sys.exit("\n" + "\n".join(sentence + times[sentence] for sentence in counts))


if __name__ == "__main__":
    main()
