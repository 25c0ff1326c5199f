"""Both roles as docs/postgresql.md makes them, on a database of their own."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.support.environment import PRODUCTION

pytestmark = [pytest.mark.postgres, pytest.mark.django_db, pytest.mark.sweep]

PAGE = Path(settings.BASE_DIR, "docs", "postgresql.md").read_text("utf-8")
MADE, TAKEN = (block.strip() for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL))


class Place:
    """A database and two roles that are this test's own, made by the SQL of the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"portal_{uuid.uuid4().hex}"
        self.owner = f"{self.name}_owner"

    def address(self, role: str, database: str) -> str:
        host = quote(connection.settings_dict["HOST"], safe="")
        return f"postgresql://{role}@{host}/{database}"

    def run_sql(self, statements: str, *, database: str = "postgres") -> None:
        """Run statements as a superuser, with the names of the page replaced by this test's."""
        statements = re.sub(r"\bportal(?=_owner\b|\b)", self.name, statements)
        with psycopg.connect(self.address("postgres", database), autocommit=True) as server:
            for statement in statements.split(";\n"):
                server.execute(statement.encode())

    def manage(self, *command: str, with_owner: bool = True, **variables: str) -> tuple[int, str]:
        """Run `manage.py` in production on the database; return its status and what it says."""
        addresses = {
            "DATABASE_URL": self.address(self.name, self.name),
            "MIGRATION_DATABASE_URL": self.address(self.owner, self.name) if with_owner else "",
        }
        shell = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR,
            env=shell | PRODUCTION | {"DATA_DIR": str(self.folder)} | addresses | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    tmp_path.chmod(0o700)
    place = Place(tmp_path)
    yield place
    place.run_sql(f"DROP DATABASE {place.name} WITH (FORCE)")
    place.run_sql(f"DROP ROLE {place.name};\nDROP ROLE {place.owner}")


def test_the_roles_of_the_page_migrate_and_run(place):
    place.run_sql(MADE)
    status, said = place.manage("migrate", DATABASE_PGBOUNCER="true")
    assert status == 0, said
    status, said = place.manage("check", "--database", "default", with_owner=False)
    assert (status, said) == (0, "System check identified no issues (1 silenced).\n")
    assert place.manage("create_signing_key", "--activate", with_owner=False)[0] == 0
    status, said = place.manage("verify_log", with_owner=False)
    assert (status, said) == (0, "The log is whole: 2 rows in 1 chains.\n")
    with psycopg.connect(place.address(place.name, place.name)) as portal:
        for name, value in (("statement_timeout", "8s"), ("lock_timeout", "5s")):
            assert portal.execute(f"SHOW {name}".encode()).fetchone() == (value,)
    status, said = place.manage("prune_log", "--older-than", "1")
    assert (status, said) == (0, "Removed 0 rows older than 1 days.\n")


def test_tables_that_the_portal_owns_are_taken_from_it(place):
    place.run_sql("CREATE ROLE portal LOGIN;\nCREATE DATABASE portal OWNER portal")
    assert place.manage("migrate", with_owner=False)[0] == 0
    _, said = place.manage("check", "--database", "default", with_owner=False)
    assert said.count("(portal.W003)") == 6
    place.run_sql(TAKEN, database=place.name)
    status, said = place.manage("migrate")
    assert status == 0, said
    _, said = place.manage("check", "--database", "default", with_owner=False)
    assert "portal.W003" not in said
