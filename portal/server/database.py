"""How connections to PostgreSQL are opened, tried before a request gets them, and given up."""

from select import POLLIN, poll
from typing import Any

from django.db import connection as default
from psycopg import Connection, OperationalError

POOL_TIMEOUT_SECONDS = 1.5
"""Seconds that a request waits for a connection; then the database counts as away."""

RECONNECT_SECONDS = 2
"""Seconds for which the pool tries to open one connection, with growing pauses in between.

Then the next request makes it try anew, so that a database that comes back is found at once.
"""

UNREACHABLE: dict[str, int] = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
"""Options of libpq: a host that does not answer at all is given up within seconds."""


def pool(size: int) -> dict[str, Any]:
    """Return the options of psycopg's pool with at most `size` connections."""
    return {
        "min_size": 1,
        "max_size": size,
        "timeout": POOL_TIMEOUT_SECONDS,
        "reconnect_timeout": RECONNECT_SECONDS,
        "check": refuse_hung_up,
    }


def refuse_hung_up(connection: Connection) -> None:
    """Raise OperationalError when the server has ended this connection: the pool opens another.

    An idle connection has nothing to read unless the server has ended it. Looking for that needs no
    query, which would cost every request a round trip. The others in the pool, which have probably
    ended too, are replaced at once: the pool pauses between failures.
    """
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    if waiting.poll(0):
        connection.close()  # or the pool would take it back and try it again
        default.pool.check()  # type: ignore[attr-defined]  # PostgreSQL has it
        raise OperationalError("The server has ended this connection.")
