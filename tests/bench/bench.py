"""One run of the command: its size, databases and servers."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import BaselineServer, Figures, LimitServer, ProductServer, run_python
from tests.support import postgres
from tests.support.server import LivePortal


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: int
    runs: int
    licenses: int
    cold_keys: int
    few: int
    many: int
    people_seconds: int
    people_runs: int
    """Of what people do."""
    log_rows: int
    listed_keys: int
    """On status lists."""


FULL = Size(
    seconds=10,
    runs=5,
    licenses=100_000,
    cold_keys=50_000,
    few=1_000,
    many=1_000_000,
    people_seconds=5,
    people_runs=5,
    log_rows=1_000_000,
    listed_keys=1_000_000,
)
QUICK = Size(
    seconds=3,
    runs=3,
    licenses=20_000,
    cold_keys=12_000,
    few=1_000,
    many=100_000,
    people_seconds=3,
    people_runs=1,
    log_rows=50_000,
    listed_keys=200_000,
)

MOST_LOG = 5_000
"""Characters of each server's log that are shown when a run has failed."""

CHANGES_PER_SECOND = 500
"""For how many changes in a second there are forms; no run makes as many."""


KINDS = (ProductServer, BaselineServer, LimitServer)


@dataclass(frozen=True)
class People:
    """Who can sign in to a database, and the files of their forms."""

    folder: Path
    owners: list[str]
    """Cookies of sessions of the tenant's owner."""
    operator: str
    """Cookies of an operator's session."""
    subscription: str
    csrf_token: str

    @property
    def generate(self) -> Path:
        return self.folder / "generate.tsv"

    @property
    def reset(self) -> Path:
        return self.folder / "reset.tsv"

    @property
    def sign_in(self) -> Path:
        return self.folder / "sign-in.tsv"


class Bench:
    """The folder, the databases and the size of one run of the command."""

    def __init__(self, folder: Path, size: Size, server: postgres.Server) -> None:
        self.folder = folder
        self.size = size
        self.server = server
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM RESET {setting}")  # what is committed is on the disk
        server.psql("SELECT pg_reload_conf()")

    def databases(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield (title, address) of a new, empty database on each of the two systems."""
        path = self.folder / f"{name}.sqlite3"
        yield "SQLite", f"sqlite:///{path}"
        for file in self.folder.glob(f"{name}.sqlite3*"):
            file.unlink()
        self.server.psql(f"CREATE DATABASE {name}")
        yield "PostgreSQL", self.server.url(name)
        self.server.psql(f"DROP DATABASE {name} WITH (FORCE)")

    def fill(self, url: str, *, licenses: int, probes: int) -> Path:
        """Fill a database; return the file of requests for its signed keys."""
        file = self.folder / "requests.jsonl"
        arguments = ["tests.bench.fill", str(licenses), str(probes), str(file)]
        run_python(arguments, {"DATABASE_URL": url})
        return file

    def people(
        self, url: str, *, licenses: int = 0, log_rows: int = 1, forms: int = 0, logins: int = 1
    ) -> People:
        """Fill a database with a tenant of so many licenses, its people, and forms of theirs."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        counts = map(str, (licenses, log_rows, forms, logins))
        run_python(["tests.bench.people", *counts, str(folder)], {"DATABASE_URL": url})
        return People(folder, **json.loads((folder / "people.json").read_text()))

    @contextmanager
    def serving(self, url: str, kinds: Sequence[type[LivePortal]] = KINDS) -> Iterator[list[str]]:
        """Yield the addresses of servers on one database: portal, baselines and limit."""
        with ExitStack() as stack:
            servers = [kind(folder=self.folder, database_url=url) for kind in kinds]
            for server in servers:
                stack.callback(server.stop)
                server.start()
            try:
                yield [f"http://127.0.0.1:{server.port}" for server in servers]
            except RuntimeError as failure:
                failure.add_note("".join(server.log()[-MOST_LOG:] for server in servers))
                raise


def row(figures: Figures) -> str:
    return f"{figures.rate:,.0f} | {figures.p50:.1f} | {figures.p99:.1f}"


def first_lines(file: Path, count: int) -> Path:
    short = file.with_suffix(f".first-{count}")
    with file.open() as lines, short.open("w") as kept:
        kept.writelines(line for line, _ in zip(lines, range(count), strict=False))
    return short
