"""Which errors of the database say that it is away, and not that the code is wrong."""

from django.db import InterfaceError, OperationalError

RETRY_AFTER_SECONDS = 5
"""Seconds after which programs and browsers may ask again while the database is away."""

_AWAY_CLASSES = ("08", "53", "57P")
"""SQLSTATE: connection exception, insufficient resources, operator intervention."""

_SQLITE_AWAY = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_LOCKED")


def database_is_away(error: BaseException | None) -> bool:
    """Return whether the error came from a database that is stopped, unreachable or held by others.

    An error of a statement, such as a missing table on SQLite, is none of these.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_AWAY_CLASSES)
    name = getattr(error.__cause__, "sqlite_errorname", None)
    return name is None or str(name).startswith(_SQLITE_AWAY)
