"""Fixtures of the running portal."""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from tests.support import database
from tests.support.server import LivePortal


@pytest.fixture(scope="session")
def _live_process(static_files: None, django_db_setup: None) -> Iterator[LivePortal]:
    portal = LivePortal(folder=settings.DATA_DIR, database_url=database.url())
    portal.start()
    yield portal
    portal.stop()


@pytest.fixture
def live_portal(transactional_db: None, _live_process: LivePortal) -> Iterator[LivePortal]:
    """A portal process on this test's database; what it logs is shown when the test fails."""
    _live_process.must_live()
    start = len(_live_process.log().encode())
    yield _live_process
    print(_live_process.log(start=start), end="")
    _live_process.must_live()


@pytest.fixture
def another_portal(transactional_db: None) -> Iterator[Callable[..., LivePortal]]:
    """Return `another_portal(**variables)`: one more process, the test's own to kill."""
    started: list[LivePortal] = []

    def start(**variables: str) -> LivePortal:
        portal = LivePortal(folder=settings.DATA_DIR, database_url=database.url(), **variables)
        started.append(portal)
        portal.start()
        return portal

    yield start
    for portal in started:
        print(portal.log(), end="")
        portal.stop()
