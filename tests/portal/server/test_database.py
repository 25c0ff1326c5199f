"""Connections to the database: which host, how long, kept open, and replaced when they ended."""

import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.db import OperationalError as Away
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from psycopg import OperationalError

from portal.config.environment import Environment
from portal.core.outages import in_words, is_outage
from portal.server.database import SILENT_SECONDS, UNREACHABLE, bound_queries, refuse_hung_up
from tests.support import postgres
from tests.support.accounts import sign_in
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


@pytest.mark.postgres
def test_a_long_query_is_waited_for_while_the_server_answers_others() -> None:
    def ask() -> str:
        bound_queries(SILENT_SECONDS + 5)
        with connection.cursor() as cursor:
            cursor.execute("SELECT repeat('x', 3) FROM pg_sleep(%s)", [SILENT_SECONDS + 0.2])
            [told] = cursor.fetchone()
        connection.close()
        return told

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(ask).result() == "xxx"


WAYS = [
    ("statement_timeout", "SELECT pg_sleep(5)", "a statement took too long"),
    ("lock_timeout", "UPDATE portal_tenant SET name = 'x'", "a lock was held too long"),
    ("idle_in_transaction_session_timeout", "SELECT 1", "a transaction stood idle too long"),
]


def bounded(name: str, statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL {name} = '20ms'")
        time.sleep(0.1)
        cursor.execute(statement)


@pytest.mark.postgres
@pytest.mark.parametrize(("name", "statement", "words"), WAYS)
def test_what_ran_into_a_time_out_may_work_later(name, statement, words, contoso):
    other = connection.copy()
    with other.cursor() as holder:
        holder.execute("BEGIN; LOCK TABLE portal_tenant IN EXCLUSIVE MODE")
    try:
        with pytest.raises(DatabaseError) as late:
            bounded(name, statement)
    finally:
        other.close()
        connection.close()
    assert (is_outage(late.value), in_words(late.value).partition(" (")[0]) == (True, words)


@pytest.mark.postgres
@pytest.mark.sweep
def test_the_server_gives_up_a_statement_and_says_why(another_portal, owner):
    portal = another_portal(DATABASE_STATEMENT_SECONDS="1", DATABASE_LOCK_SECONDS="0")
    client = sign_in(Client(), owner)
    other = connection.copy()
    with other.cursor() as holder:
        holder.execute("BEGIN; LOCK TABLE subscriptions_subscription")
    asked = urllib.request.Request(
        f"{portal.url}/subscriptions/",
        headers={"Cookie": f"sessionid={client.cookies['sessionid'].value}"},
    )
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=10)
    finally:
        other.close()
    refused.value.close()
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "5")
    [line] = [line for line in portal.log().splitlines() if "/subscriptions/" in line]
    assert "a statement took too long (DATABASE_STATEMENT_SECONDS)" in line


@pytest.fixture
def another_server() -> Iterator[postgres.Server]:
    """A second PostgreSQL server, with a database of the name of this one's."""
    with tempfile.TemporaryDirectory(prefix="second-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        server = postgres.Server(Path(folder) / "postgres")
        server.psql(f"CREATE DATABASE {connection.settings_dict['NAME']} OWNER {postgres.ROLE}")
        try:
            yield server
        finally:
            server.stop()


def connected(hosts: str, ports: str = "", options: str = "") -> str:
    """Return the folder of the server that an address with these hosts leads to."""
    name = connection.settings_dict["NAME"]
    address = f"postgresql://{postgres.ROLE}@/{name}?host={hosts}&port={ports}{options}"
    env = Environment({"DATABASE_URL": address})
    made = env.postgresql("DATABASE_URL")
    env.finish()
    made["OPTIONS"] = UNREACHABLE | made["OPTIONS"]
    wrapper: BaseDatabaseWrapper = type(connection.copy())(connection.settings_dict | made)
    try:
        wrapper.ensure_connection()
        driver: psycopg.Connection = wrapper.connection
        return driver.info.host
    finally:
        wrapper.close()


@pytest.mark.postgres
def test_a_host_that_refuses_is_passed_over():
    own = connection.settings_dict["HOST"]
    assert connected(f"127.0.0.1,{own}", "1,5432") == own
    with pytest.raises(Away):
        connected("127.0.0.1,127.0.0.1", "1,2")


@pytest.mark.postgres
@pytest.mark.sweep
def test_of_two_servers_the_one_that_lives_and_writes_is_taken(another_server):
    own, other = connection.settings_dict["HOST"], str(another_server.folder)
    writes = "&target_session_attrs=read-write"
    assert connected(f"{other},{own}") == other
    another_server.psql("ALTER SYSTEM SET default_transaction_read_only = on")
    another_server.psql("SELECT pg_reload_conf()")
    assert connected(f"{other},{own}", options=writes) == own
    another_server.halt()
    try:
        assert connected(f"{other},{own}") == own
    finally:
        another_server.resume()
