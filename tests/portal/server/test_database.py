"""Connections to the database: kept open, and replaced when the server has ended them."""

import urllib.request

import pytest
from django.db import connection
from psycopg import OperationalError

from portal.server.database import refuse_hung_up
from tests.support.database import as_owner
from tests.support.server import LivePortal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.postgres
class TestRefuseHungUp:
    def test_a_connection_that_lives_is_taken(self) -> None:
        connection.ensure_connection()
        refuse_hung_up(connection.connection)

    def test_one_that_the_server_ended_is_not(self) -> None:
        connection.ensure_connection()
        pool = connection.connection._pool
        with pool.connection() as other, as_owner(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [other.info.backend_pid])
            with pytest.raises(OperationalError):
                refuse_hung_up(other)

    def test_no_request_notices_a_restart_of_the_server(self, live_portal: LivePortal) -> None:
        for _ in range(3):
            assert status(live_portal) == 200
            assert end_connections_of_others() > 0
        assert status(live_portal) == 200
        # The idle ones in the pool of this process were ended too: the next test gets new ones.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL has it


def end_connections_of_others() -> int:
    """End every connection of the portal process, as a restart of PostgreSQL does."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(cursor.fetchall())


def status(portal: LivePortal) -> int:
    with urllib.request.urlopen(f"{portal.url}/healthz/ready", timeout=10) as answer:
        return answer.status
