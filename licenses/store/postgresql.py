"""Dump a PostgreSQL database while others write, and restore it, by PostgreSQL's own programs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from portal.core.refusal import Refused
from portal.server.owner import as_owner

FILE = "portal.pgdump"
FUNCTIONS = ("log_entry_refuse", "log_chain_refuse")
"""Functions of the log's triggers (portal/activity/triggers.py)."""

MAX_SAID = 1000
"""Characters of what a program says that are told."""


@contextmanager
def dumped(file: Path) -> Iterator[None]:
    """Dump the database; within the block the default connection reads what is in the dump.

    Both read one snapshot, which the connection exports. Raises Refused when pg_dump is missing,
    of another version than the server, or fails.
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
    Raises Refused when the database has tables already, or when pg_restore is missing, of another
    version than the server, or fails.
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

    It gets the host that answered, where the address names several, and of the options those that
    the operator gave: psycopg's own libpq may be newer, and know options that the program refuses.
    The password goes through the environment: others on the machine can read command lines.
    """
    program = _program(name)
    connection.ensure_connection()
    info = connection.connection.info
    address = make_conninfo(
        host=info.host, port=info.port, user=info.user, dbname=info.dbname, **_options()
    )
    done = _done(
        [program, *arguments, "--no-password", f"--dbname={address}"],
        env=os.environ | ({"PGPASSWORD": info.password} if info.password else {}),
    )
    if done.returncode:
        lines = (line.removeprefix(f"{name}: ") for line in done.stderr.strip().splitlines())
        said = " ".join(line.removeprefix("error: ") for line in lines)
        raise Refused(f"{name} failed: {said[:MAX_SAID] or f'status {done.returncode}'}")


def _options() -> dict[str, str]:
    """Return the options of libpq that the address names, but for those of several hosts."""
    given = connection.settings_dict["OPTIONS"]
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    several = {"load_balance_hosts", "target_session_attrs"}
    return {name: str(given[name]) for name in sorted(known & given.keys() - several)}


def _program(name: str) -> str:
    """Return the path of a program of the server's major version; raises Refused otherwise.

    An older one refuses the server. What a later pg_dump writes, the server's own pg_restore
    cannot read, and a later pg_restore sets parameters that the server does not know.
    """
    server = version().partition(".")[0]
    use = (
        f"install postgresql-client-{server} (on Debian), and put its folder on the PATH: "
        f"PATH=/usr/lib/postgresql/{server}/bin:$PATH."
    )
    found = shutil.which(name)
    if found is None:
        raise Refused(f"There is no {name} on the PATH: {use}")
    done = _done([found, "--version"])
    number = re.search(r"\d+", done.stdout)
    if done.returncode or number is None:
        raise Refused(f"{found} cannot be run: {done.stderr.strip()[:MAX_SAID]}")
    if number[0] != server:
        raise Refused(f"{found} is of version {number[0]}, and the server of {server}: {use}")
    return found


def _done(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (the program on the PATH, with arguments of our own)
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options
    )
