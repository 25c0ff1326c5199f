"""PostgreSQL, for which nobody waits while it is known to be away."""

from typing import Any, override

from django.db.backends.postgresql import base
from psycopg import OperationalError

from portal.server.database import pulse

_Untyped: Any = base.DatabaseWrapper  # whose stubs leave out what is overridden here


class DatabaseWrapper(_Untyped):
    """A connection that is refused at once for a moment after the server had no pulse.

    Requests that wait for a thread would otherwise wait for one time-out after the other.
    """

    @override
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Raise psycopg's OperationalError when the server is away."""
        if pulse.is_away():
            raise OperationalError("The server did not answer a moment ago.")
        try:
            return super().get_new_connection(conn_params)
        except OperationalError:
            pulse.is_there()  # with the pool exhausted it is: others go on waiting
            raise
