"""The database away: everybody hears it within two seconds, and it heals without a restart."""

import json
import re
import sqlite3
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from django.db import OperationalError

from portal.core.outages import is_outage
from portal.server.conditions import NO_ANSWER
from tests.support import postgres
from tests.support.factories import make_license
from tests.support.proxy import Proxy
from tests.support.server import LivePortal
from tests.support.terminals import body_for
from tests.support.worker import wait_until

WITHIN = 2.5
"""Seconds that an answer may take: at most 1.8, and what a busy machine adds."""


class Answer:
    """The answer to somebody with a session, and how long it took."""

    def __init__(self, portal: LivePortal, path: str, body: dict[str, str] | None = None) -> None:
        headers = {"Cookie": "sessionid=known", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{portal.url}{path}", data, headers)
        begin = monotonic()
        try:
            with urllib.request.urlopen(asked, timeout=15) as answer:
                self.status, self.headers, told = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                self.status, self.headers, told = error.code, error.headers, error.read()
        self.body = told.decode()
        self.seconds = monotonic() - begin


def reasons(portal: LivePortal) -> list[str]:
    return json.loads(Answer(portal, "/healthz/ready").body)["reasons"]


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of this test's own."""
    with tempfile.TemporaryDirectory(prefix="away-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        server = postgres.Server(Path(folder) / "postgres")
        try:
            yield server
        finally:
            server.stop()


@pytest.mark.sqlite  # it starts PostgreSQL itself: once is enough
@pytest.mark.django_db
def test_a_stopped_postgresql_is_told_in_time_and_comes_back(
    server, tmp_path, static_files, signing_key
):
    key = make_license(signing_key=signing_key).keys.get(slot="primary")
    portal = LivePortal(folder=tmp_path, database_url=server.url("postgres"))
    portal.start(until="/healthz/live")
    try:
        server.halt()
        ready = Answer(portal, "/healthz/ready")
        assert (ready.status, json.loads(ready.body), ready.seconds < 1.3) == (
            503,
            {"status": "not ready", "reasons": [NO_ANSWER]},
            True,
        )
        page = Answer(portal, "/subscriptions/")
        keys = Answer(portal, "/.well-known/jwks.json")
        check = Answer(portal, "/public/checklicense", body_for(key))
        for answer in (page, keys, check):
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.seconds < WITHIN
            assert answer.headers["X-Request-ID"] in answer.body
        assert "The portal is not available at the moment" in page.body
        assert json.loads(check.body)["error"] == "server_error"
        assert Answer(portal, "/healthz/live").status == 200
        log = portal.log()
        assert "Traceback" not in log
        assert len(re.findall("the database is away: OperationalError", log, re.IGNORECASE)) == 3
        server.resume()
        wait_until(lambda: reasons(portal) != [NO_ANSWER])  # it was never migrated
    finally:
        portal.stop()


@pytest.mark.sqlite  # it starts PostgreSQL itself: once is enough
@pytest.mark.django_db
def test_a_postgresql_that_hangs_holds_no_request_for_long(
    server, tmp_path, static_files, signing_key
):
    key = make_license(signing_key=signing_key).keys.get(slot="primary")
    proxy = Proxy(next(str(path) for path in server.folder.iterdir() if path.is_socket()))
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
    portal = LivePortal(folder=tmp_path, database_url=url, REQUEST_THREADS="1")
    portal.start(until="/healthz/live")
    try:
        proxy.forwards.clear()
        with ThreadPoolExecutor() as people:
            pages = [people.submit(Answer, portal, "/subscriptions/") for _ in range(2)]
            live, ready = Answer(portal, "/healthz/live"), Answer(portal, "/healthz/ready")
            assert not all(page.done() for page in pages)
            assert (live.status, live.seconds < WITHIN) == (200, True)
            assert (ready.status, ready.seconds < WITHIN) == (503, True)
            check = Answer(portal, "/public/checklicense", body_for(key))
            assert (check.status, check.seconds < WITHIN) == (503, True)
            for page in (page.result() for page in pages):
                assert (page.status, page.seconds < WITHIN) == (503, True)
        assert "Traceback" not in portal.log()
        proxy.forwards.set()
        wait_until(lambda: reasons(portal) != [NO_ANSWER])  # it was never migrated
    finally:
        portal.stop()
        proxy.close()


@pytest.mark.parametrize(
    ("cause", "is_away"),
    [
        (None, True),
        ({"sqlstate": None}, True),
        ({"sqlstate": "57P01"}, True),
        ({"sqlstate": "53300"}, True),
        ({"sqlstate": "40P01"}, True),
        ({"sqlstate": "42P01"}, False),
        ({"sqlite_errorcode": sqlite3.SQLITE_BUSY}, True),
        ({"sqlite_errorcode": sqlite3.SQLITE_CANTOPEN}, True),
        ({"sqlite_errorcode": sqlite3.SQLITE_ERROR}, False),
    ],
)
def test_an_error_of_a_statement_is_no_absence(cause, is_away):
    error = OperationalError("x")
    if cause is not None:
        error.__cause__ = type("Cause", (Exception,), cause)()
    assert is_outage(error) is is_away
    assert is_outage(ValueError("x")) is False
