"""Where experiments run: a folder and two database systems, which end with the command."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import run_python
from tests.chaos.load import CLIENTS, Person
from tests.support import postgres


@dataclass(frozen=True)
class Laboratory:
    """The folder and the PostgreSQL server of one run, and whether it is a short one."""

    folder: Path
    server: postgres.Server
    is_quick: bool

    def databases(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield (title, address) of a new, empty database on each of the two systems."""
        yield "SQLite", f"sqlite:///{self.folder / name}.sqlite3"
        self.server.psql(f"CREATE DATABASE {name}")
        yield "PostgreSQL", self.server.url(name)

    def people(self, database_url: str, count: int = CLIENTS) -> list[Person]:
        """Migrate a database; return people for the clients of a load (see `prepare`)."""
        file = self.folder / "prepared.json"
        run_python(["tests.chaos.prepare", str(count), str(file)], {"DATABASE_URL": database_url})
        return [Person(**person) for person in json.loads(file.read_text())["people"]]
