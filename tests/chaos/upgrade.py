"""The last release and the code of today side by side on one database, replaced node by node."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep

from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import CHECK, JSON, NO_ANSWER, Load, Wire, refusals_of, told
from tests.chaos.nodes import Node

ROOT = Path(__file__).parents[2]
TERMINALS = 4
PAUSE_SECONDS = 0.02


class Release(Node):
    """A node of the last release, with the packages that it was released with."""

    def __init__(self, *, code: Path, python: Path, folder: Path, database_url: str) -> None:
        super().__init__(folder=folder, database_url=database_url)
        self.root, self.python = code, python

    def command(self) -> list[str]:
        return [str(self.python), *super().command()[1:]]


class Terminals:
    """Terminals behind a proxy, which asks the other node where one does not answer.

    All have the same license key, which nobody resets.
    """

    def __init__(self, ports: list[int], body: bytes) -> None:
        self.ports, self.body = ports, body
        self.count, self.failed = 0, list[str]()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(TERMINALS)]

    def work(self) -> None:
        wire = Wire(self.ports)
        while not self.ended.wait(PAUSE_SECONDS):
            asked = wire.ask("check", "POST", CHECK, self.body, JSON)
            if asked.status == NO_ANSWER:  # the wire leads to the other node from here on
                asked = wire.ask("check", "POST", CHECK, self.body, JSON)
            self.count += 1
            if asked.status != 200:
                self.failed.append(told(asked))
        wire.close()


def upgrade(laboratory: Laboratory) -> Iterator[str]:
    """Replace two nodes of the last release one by one, under load; yield what went wrong."""
    commit = released()
    seconds = 5 if laboratory.is_quick else 20
    print(f"\n## From the last release ({commit[:7]}) to today, node by node\n")
    print("| database | checks | failed | acknowledged | lost | other failures |")
    print("| --- | ---: | ---: | --- | ---: | ---: |", flush=True)
    code, python = unpacked(commit, laboratory.folder)
    for database, url in laboratory.databases("upgrade"):
        old = [
            Release(code=code, python=python, folder=laboratory.folder, database_url=url)
            for _ in range(2)
        ]
        migrate(old[0])
        people = laboratory.people(url)  # which migrates to the schema of today
        new = [Node(folder=laboratory.folder, database_url=url) for _ in range(2)]
        for today, before in zip(new, old, strict=True):
            today.take_the_place_of(before)
            before.start()
        ledger = Ledger()
        body = json.loads((laboratory.folder / "prepared.json").read_text())["body"]
        terminals = Terminals([node.port for node in old], body.encode())
        try:
            with Load([node.port for node in old], people, ledger) as load:
                sleep(seconds)
                for thread in terminals.threads:
                    thread.start()
                for before, today in zip(old, new, strict=True):
                    sleep(seconds)
                    before.stop()
                    today.start()
                sleep(seconds)
                terminals.ended.set()
            for thread in terminals.threads:
                thread.join()
            lost = [*differences(ledger, url, laboratory.folder)]
            lost += refusals_of(ledger, new[0].port)
        finally:
            for node in [*old, *new]:
                node.stop()
        failed = [asked for asked in load.asked if not asked.is_good]
        counts = f"{terminals.count:,} | {len(terminals.failed)} | {ledger.counts()}"
        share = f"{len(failed)} of {len(load.asked):,}"
        print(f"| {database} | {counts} | {len(lost)} | {share} |", flush=True)
        yield from (f"{database}: A check failed: {each}" for each in terminals.failed[:5])
        yield from (f"{database}: {sentence}" for sentence in lost)
        for asked in failed:
            if asked.status not in {NO_ANSWER, 503}:
                yield f"{database}: {told(asked)}"
        if not terminals.count:
            yield f"{database}: No check was asked for."


def released() -> str:
    """Return the commit of the last release, as CHANGELOG names it."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(r"^## \[\d[^#]*?commit ([0-9a-f]{40})", text, re.M | re.S)
    assert found is not None, "CHANGELOG.md names no commit of the last release."
    return found[1]


def unpacked(commit: str, folder: Path) -> tuple[Path, Path]:
    """Return the folder of a commit's code, and a Python with the packages that it pins."""
    code, venv = folder / "release", folder / "release-venv"
    code.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(code)], input=archive, check=True)
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    python = venv / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    install = [uv, "pip", "install", "-q", "--require-hashes", "--python", str(python)]
    subprocess.run([*install, "-r", str(code / "requirements.txt")], check=True)
    return code, python


def migrate(node: Release) -> None:
    """Make the tables of the release, and collect its static files, by its own commands."""
    for command in ("migrate --no-input", "collectstatic --no-input"):
        subprocess.run(
            [str(node.python), "manage.py", *command.split(), "-v0"],
            cwd=node.root,
            env=node.environment,
            check=True,
        )
