"""How a pooled connection to PostgreSQL is tried before a request gets it."""

from select import POLLIN, poll

from psycopg import Connection, OperationalError


def refuse_hung_up(connection: Connection) -> None:
    """Raise OperationalError when the server has ended this connection: the pool opens another.

    A connection at rest has nothing to say: what lies there to be read is the server's goodbye.
    That is seen without asking the server, which would cost every request a round trip.
    """
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    if waiting.poll(0):
        connection.close()  # or the pool would take it back and try it again
        raise OperationalError("The server has ended this connection.")
