"""Databases of their own to upgrade: SQLite files, or databases on the server of the tests."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from tests.support.postgres import OWNER, ROLE
from tests.upgrade.record import APPS, ROOT

BASELINE = [(app, "0001_initial") for app in APPS]
LIBRARIES = [
    ("account", "0009_emailaddress_unique_primary_email"),
    ("admin", "0003_logentry_add_action_flag_choices"),
    ("auth", "0012_alter_user_first_name_max_length"),
    ("contenttypes", "0002_remove_content_type_name"),
    ("mfa", "0003_authenticator_type_uniq"),
    ("sessions", "0001_initial"),
    ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ("usersessions", "0001_initial"),
]
"""The migrations of Django and allauth as version 1.0 pinned them."""

type Contents = dict[str, dict[Any, dict[str, Any]]]


class Database:
    """A database that starts empty, with a connection of this process under an alias."""

    def __init__(self, folder: Path, *, like: "Database | None" = None) -> None:
        self.folder = folder
        self.alias = f"upgrade_{uuid.uuid4().hex}"
        default = connections.settings["default"]
        self.is_sqlite = connections["default"].vendor == "sqlite"
        self.name = str(folder / f"{self.alias}.sqlite3") if self.is_sqlite else self.alias
        options = {
            name: value
            for name, value in default["OPTIONS"].items()
            if name not in {"pool", "options"}  # as its owner, with no bound
        }
        if self.is_sqlite:  # nothing must survive a power cut; without WAL the file is all there is
            options["init_command"] = "PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
        connections.settings[self.alias] = default | {"NAME": self.name, "OPTIONS": options}
        if like is not None:
            like.connection.close()
        if not self.is_sqlite:
            self._on_server(
                f"CREATE DATABASE {self.name}", f" TEMPLATE {like.name}" if like else ""
            )
        elif like is not None:
            shutil.copy(like.name, self.name)

    def remove(self) -> None:
        self.connection.close()
        del connections[self.alias], connections.settings[self.alias]
        if self.is_sqlite:
            Path(self.name).unlink(missing_ok=True)
        else:
            self._on_server(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _on_server(self, *parts: str) -> None:
        default = connections.settings["default"]
        with psycopg.connect(
            host=default["HOST"], user=default["USER"], dbname="postgres", autocommit=True
        ) as server:
            server.execute("".join(parts).encode())

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables that tell the portal where the database is."""
        if self.is_sqlite:
            return {"DATABASE_URL": f"sqlite:///{self.name}"}
        host = quote(connections.settings["default"]["HOST"], safe="")
        return {
            name: f"postgresql://{role}@{host}/{self.name}"
            for name, role in (("DATABASE_URL", ROLE), ("MIGRATION_DATABASE_URL", OWNER))
        }

    def run(self, *command: str, **variables: str) -> tuple[int, str, str]:
        """Run `manage.py` on this database; return status, output and error output."""
        self.connection.close()
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=os.environ | self.addresses | {"DATA_DIR": str(self.folder)} | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def migrate_to_baseline(self) -> Any:
        """Make all tables of version 1.0, those of libraries too, and return their models.

        Not by the command: that also runs what comes after every migrate, which in later code
        may need later tables.
        """
        executor = MigrationExecutor(self.connection)
        executor.migrate([*BASELINE, *LIBRARIES])
        return executor.loader.project_state([*BASELINE, *LIBRARIES]).apps

    def execute(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def contents(self) -> Contents:
        """Return the rows of all tables: by table, primary key and column."""
        found: Contents = {}
        introspection = self.connection.introspection
        with self.connection.cursor() as cursor:
            for table in introspection.table_names(cursor):
                key = introspection.get_primary_key_column(cursor, table)
                cursor.execute(f'SELECT * FROM "{table}"')
                columns = [column[0] for column in cursor.description]
                rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
                found[table] = {row[key]: row for row in rows}
                assert len(found[table]) == len(rows)
        return found
