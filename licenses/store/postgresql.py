"""Dump a PostgreSQL database while others write, and restore it, by PostgreSQL's own programs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction

from licenses.store.connecting import as_owner
from portal.core.refusal import Refused

FILE = "portal.pgdump"
FUNCTIONS = ("log_entry_refuse", "log_chain_refuse")
"""Functions of the log's triggers (portal/activity/triggers.py)."""


@contextmanager
def dumped(file: Path) -> Iterator[None]:
    """Dump the database; within the block the default connection reads what is in the dump.

    Both read one snapshot, which the connection exports. Raises Refused when pg_dump is missing,
    older than the server, or fails.
    """
    with as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        [snapshot] = cursor.fetchone()
        options = ("--format=custom", "--no-owner", "--no-privileges")
        _run("pg_dump", *options, f"--snapshot={snapshot}", f"--file={file}")
        yield


@contextmanager
def restored(file: Path) -> Iterator[None]:
    """Restore the dump for good when the block ends; empty the database again when it raises.

    Within the block the default connection, in the role of the owner, reads and writes it.
    Raises Refused when the database has tables already, or when pg_restore is missing, older than
    the server, or fails.
    """
    with as_owner():
        _refuse_occupied()
        options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        _run("pg_restore", *options, str(file))
        try:
            yield
        except BaseException:
            _empty()
            raise


def version() -> str:
    """Return the version of the server, such as 18.3."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0]).split()[0]


def _refuse_occupied() -> None:
    if tables := connection.introspection.table_names():
        raise Refused(
            f"The database has tables already, such as {min(tables)}, and a backup is restored "
            "into an empty place only: create a database for it, and set DATABASE_URL to that."
        )


def _empty() -> None:
    tables = connection.introspection.table_names()
    quoted = ", ".join(connection.ops.quote_name(table) for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        if quoted:
            cursor.execute(f"DROP TABLE {quoted} CASCADE")
        cursor.execute(f"DROP FUNCTION IF EXISTS {', '.join(FUNCTIONS)}")


def _run(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the database of the default connection.

    The password goes through the environment: others on the machine can read command lines.
    """
    program = _program(name)
    connection.ensure_connection()
    info = connection.connection.info
    done = subprocess.run(  # noqa: S603 (the program on the PATH, with arguments of our own)
        [program, *arguments, "--no-password", f"--dbname={info.dsn}"],
        env=os.environ | ({"PGPASSWORD": info.password} if info.password else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Refused(f"{name} failed: {said[0].removeprefix(f'{name}: error: ')}")


def _program(name: str) -> str:
    """Return the path of a program that is as new as the server; raises Refused otherwise."""
    found = shutil.which(name)
    server = version().partition(".")[0]
    if found is None:
        raise Refused(
            f"There is no {name} on the PATH. Install PostgreSQL's client programs (on Debian "
            f"postgresql-client-{server}), or put their folder on the PATH, such as "
            f"PATH=/usr/lib/postgresql/{server}/bin:$PATH."
        )
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    number = re.search(r"\d+", said)
    if number is None or int(number[0]) < int(server):
        raise Refused(
            f"{found} says {said.strip()!r}, and the server is PostgreSQL {server}: use a {name} "
            f"of version {server} or later (on Debian postgresql-client-{server})."
        )
    return found
