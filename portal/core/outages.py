"""Whether an error of the database is an outage, which passes, or a bug, which does not."""

from django.db.utils import InterfaceError, OperationalError

RETRY_AFTER_SECONDS = 5
"""Seconds after which programs and browsers may ask again."""

BUGS_OF_SQLITE = {1}
"""SQLITE_ERROR: wrong SQL, such as a table that is missing. Django calls it operational."""

OUTAGES_OF_POSTGRESQL = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE (PostgreSQL, appendix A): connection lost, transaction rolled back by others,
out of resources, locked, shut down or timed out, and errors of the system below."""


def is_outage(error: BaseException | None) -> bool:
    """Return whether the database is away, busy or full, so that the same may work later."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF not in BUGS_OF_SQLITE
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(OUTAGES_OF_POSTGRESQL)
