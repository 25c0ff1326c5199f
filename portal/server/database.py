"""How connections to PostgreSQL are opened, tried before a request gets them, and given up."""

import threading
from collections.abc import Generator
from contextlib import suppress
from select import POLLIN, poll
from time import monotonic
from typing import Any, override

from django.conf import settings
from django.db import connection as default
from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

POOL_TIMEOUT_SECONDS = 1.2
"""Seconds that a request waits for a connection."""

SILENT_SECONDS = 1
"""Seconds without an answer to a query after which the server is asked whether it answers at all.
"""

PULSE_SECONDS = 0.6
"""Seconds in which it has to answer that, on a new connection."""

AWAY_SECONDS = 1
"""Seconds for which a process asks nothing of a server that has no pulse: what waits for a thread
would wait for the same time-out again."""

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
        "connection_class": BoundConnection,
    }


def time_outs(**seconds: int) -> str:
    """Return time-outs of PostgreSQL as libpq's `options`: they come with the connection's start.

    So no request spends a round trip on them.
    """
    return " ".join(f"-c {name}={value}s" for name, value in seconds.items())


def bound_statements() -> None:
    """Let PostgreSQL end what a statement of this process does after DATABASE_STATEMENT_SECONDS.

    For connections that are opened from now on. Through PgBouncer the role has the bound.
    """
    if default.vendor == "postgresql" and not settings.DATABASE_PGBOUNCER:
        bound = time_outs(statement_timeout=settings.DATABASE_TIME_OUTS["statement_timeout"])
        default.settings_dict["OPTIONS"]["options"] += f" {bound}"


class _Bound(threading.local):
    seconds: float | None = None


_bound = _Bound()


def bound_queries(seconds: float) -> None:
    """Let no query of this thread wait longer for PostgreSQL, from now on."""
    _bound.seconds = seconds


class NoAnswer(OperationalError):
    """The server has not answered a query in time; it is not asked again at once."""


class BoundConnection(Connection[Any]):
    """A connection that is closed when the server does not answer (see `bound_queries`).

    No option of libpq does that: a frozen server, or a proxy before one, acknowledges what arrives.
    Rows that are read in batches wait for each batch anew.
    """

    @override
    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Raise NoAnswer when it takes longer than the bound of this thread, or has no pulse."""
        bound = _bound.seconds if timeout is None else timeout
        if bound is None or bound <= SILENT_SECONDS:
            return self._wait(gen, interval, bound)
        try:
            return super().wait(gen, interval, SILENT_SECONDS)
        except OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            if not pulse.is_there():
                self.close()
                raise NoAnswer("The server answers nobody.") from error
        return self._wait(_resumed(gen), interval, bound - SILENT_SECONDS)

    def _wait(self, gen: PQGen[RV], interval: float, timeout: float | None) -> RV:
        try:
            return super().wait(gen, interval, timeout)
        except OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.close()  # or the next query would get the answer to this one
            raise NoAnswer(f"The server has not answered in {timeout} s.") from error


def _resumed[T](gen: PQGen[T]) -> Generator[Any, Any, T]:
    """Return a generator of psycopg that was waited for already, to be waited for again."""
    wanted = gen.send(0)  # nothing is ready
    while True:
        try:
            wanted = gen.send((yield wanted))
        except StopIteration as end:
            result: T = end.value
            return result


class Pulse:
    """Whether the server answers anybody; asked when somebody has waited in vain."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._found_at = self._away_until = float("-inf")

    def is_away(self) -> bool:
        """Return whether it was found without a pulse less than AWAY_SECONDS ago."""
        return monotonic() < self._away_until

    def is_there(self) -> bool:
        """Return whether it answers on a new connection within PULSE_SECONDS; several ask once."""
        asked_at = monotonic()
        if not self._asking.acquire(timeout=PULSE_SECONDS):
            return False
        try:
            if self.is_away() or self._found_at > asked_at:
                return not self.is_away()
            asking = threading.Thread(target=self._ask, name="pulse", daemon=True)
            asking.start()
            asking.join(PULSE_SECONDS)
            if self._found_at < asked_at:
                self._away_until = monotonic() + AWAY_SECONDS
        finally:
            self._asking.release()
        return not self.is_away()

    def _ask(self) -> None:
        bound_queries(PULSE_SECONDS)
        with suppress(OperationalError):
            with BoundConnection.connect(**default.get_connection_params()) as connection:
                connection.execute("SELECT 1")
            self._found_at = monotonic()


pulse = Pulse()


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
