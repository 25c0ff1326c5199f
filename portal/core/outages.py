"""Whether an error of the database is an outage, which passes, or a bug, which does not."""

from django.db.utils import DatabaseError, InterfaceError, OperationalError

RETRY_AFTER_SECONDS = 5
"""Seconds after which programs and browsers may ask again."""

BUGS_OF_SQLITE = {1}
"""SQLITE_ERROR: wrong SQL, such as a table that is missing. Django calls it operational."""

OUTAGES_OF_POSTGRESQL = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE (PostgreSQL, appendix A): connection lost, transaction rolled back by others,
out of resources, locked, shut down or timed out, and errors of the system below."""


OVER_TIME = {
    "57014": "a statement took too long (DATABASE_STATEMENT_SECONDS)",
    "55P03": "a lock was held too long (DATABASE_LOCK_SECONDS)",
    "25P03": "a transaction stood idle too long (DATABASE_IDLE_SECONDS)",
}
"""Time-outs of PostgreSQL by SQLSTATE, in words for the log of the process."""


def is_outage(error: BaseException | None) -> bool:
    """Return whether the database is away, busy or full, so that the same may work later."""
    if isinstance(error, InterfaceError) or _sqlstate(error) in OVER_TIME:
        return True
    if not isinstance(error, OperationalError):
        return False
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF not in BUGS_OF_SQLITE
    state = _sqlstate(error)
    return state is None or state.startswith(OUTAGES_OF_POSTGRESQL)


def in_words(outage: BaseException | None) -> str:
    """Return what kind of outage it is, for the log of the process."""
    return OVER_TIME.get(_sqlstate(outage) or "", "the database is away")


def _sqlstate(error: BaseException | None) -> str | None:
    """Return the code of an error that comes from PostgreSQL."""
    if not isinstance(error, DatabaseError):
        return None
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state
