"""Databases of version 1.0."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portal.activity.triggers import install_triggers
from tests.support.baseline import fill
from tests.support.upgrades import Database


@pytest.fixture(scope="session")
def make_database(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Callable[..., Database]]:
    """Return `make_database(like=None)`: a new one, empty or a copy."""
    made: list[Database] = []

    def make(*, like: Database | None = None) -> Database:
        made.append(Database(tmp_path_factory.mktemp("upgrade"), like=like))
        return made[-1]

    with django_db_blocker.unblock():
        yield make
        for database in made:
            database.remove()


@pytest.fixture(scope="session")
def baseline(make_database: Callable[..., Database]) -> Database:
    """The database that version 1.0 leaves behind, with rows in every table. Copy it."""
    database = make_database()
    fill(database.migrate_to_baseline(), database.alias)
    install_triggers(using=database.alias)
    return database
