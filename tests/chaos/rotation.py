"""The signing key is rotated while keys are signed and checked: no check fails."""

from collections.abc import Iterator

from tests.bench.measuring import run_python
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import Load, header_of, refusals_of, told
from tests.chaos.nodes import Node

ROTATIONS = 20


def rotation(laboratory: Laboratory) -> Iterator[str]:
    """Rotate under load, on both databases; yield what went wrong, in sentences."""
    count = 5 if laboratory.is_quick else ROTATIONS
    print(f"\n## The signing key, rotated {count} times at once (--emergency)\n")
    print("| database | acknowledged | lost | signed with | checks | failed | other failures |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("rotation"):
        ledger, node = Ledger(), Node(folder=laboratory.folder, database_url=url)
        people = laboratory.people(url)
        node.start()
        try:
            with Load([node.port], people, ledger) as load:
                run_python(["tests.chaos.rotate", str(count)], {"DATABASE_URL": url})
            lost = [*differences(ledger, url, laboratory.folder), *refusals_of(ledger, node.port)]
        finally:
            node.stop()
        checks = [asked for asked in load.asked if asked.what == "check"]
        failed = [asked for asked in load.asked if not asked.is_good]
        failed_checks = sum(asked.what == "check" for asked in failed)
        signing_keys = {header_of(key.token)["kid"] for key in ledger.handed.values()}
        print(
            f"| {database} | {ledger.counts()} | {len(lost)} | {len(signing_keys)} "
            f"| {len(checks):,} | {failed_checks} | {len(failed) - failed_checks} |",
            flush=True,
        )
        for sentence in lost:
            yield f"{database}: {sentence}"
        for asked in failed:
            yield f"{database}: {told(asked)}"
        if len(signing_keys) <= count / 2:
            yield f"{database}: Only {len(signing_keys)} of {count} signing keys were used."
