"""Connections to the database: kept open, and replaced when the server has ended them."""

import json
import urllib.error
import urllib.request

import pytest
from django.db import connection
from psycopg import OperationalError

from licenses.models import SigningKey, Slot
from portal.database import refuse_hung_up
from tests.factories import make_license
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
        with pool.connection() as other, connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [other.info.backend_pid])
            with pytest.raises(OperationalError):
                refuse_hung_up(other)

    def test_no_check_notices_it_either(
        self, live_portal: LivePortal, signing_key: SigningKey
    ) -> None:
        key = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
        body = json.dumps({"key": key.token}).encode()
        for _ in range(3):
            # Without the rest of a terminal's request: the record was read all the same.
            assert checked(live_portal, body) == (401, "issuer_mismatch")
            assert end_connections_of_others() > 0

    def test_no_request_notices_a_restart_of_the_server(self, live_portal: LivePortal) -> None:
        for _ in range(3):
            assert status(live_portal) == 200
            assert end_connections_of_others() > 0
        assert status(live_portal) == 200
        # The idle ones in the pool of this process were ended too: the next test gets new ones.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


def end_connections_of_others() -> int:
    """End every connection of the portal process, as a restart of PostgreSQL does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(cursor.fetchall())


def checked(portal: LivePortal, body: bytes) -> tuple[int, str]:
    """Return status and result of a check."""
    request = urllib.request.Request(f"{portal.url}/public/checklicense", body)
    request.add_header("Content-Type", "application/json; charset=utf-8")
    try:
        urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["result"]
    raise AssertionError("The check was to fail.")


def status(portal: LivePortal) -> int:
    with urllib.request.urlopen(f"{portal.url}/healthz/ready", timeout=10) as answer:
        return answer.status
