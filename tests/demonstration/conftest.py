"""Folders in which a demonstration is made."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from tests.support.demonstration import Demonstration


@pytest.fixture
def make_demonstration(tmp_path: Path) -> Callable[[str], Demonstration]:
    """Return `make_demonstration(name)`: a folder with nothing but the collected static files."""

    def make(name: str) -> Demonstration:
        demonstration = Demonstration(tmp_path / name)
        demonstration.folder.mkdir(mode=0o700)
        shutil.copytree(settings.STATIC_ROOT, demonstration.folder / "static")
        return demonstration

    return make


@pytest.fixture(scope="session")
def first_prepared(static_files: None) -> Demonstration:
    """The demonstration that `make run` makes in a folder that is not there, to look at and copy.

    All test processes share one, which none of them opens: it takes ten seconds. What was printed
    lies in `first.txt`.
    """
    shared = Path(settings.STATIC_ROOT).resolve().with_name("first")
    demonstration = Demonstration(shared / "not" / "there" / "yet")
    out = shared.with_name("first.txt")
    with shared.with_name("first.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            out.write_text(demonstration.prepare())
    demonstration.url = demonstration.contents()["url"]
    return demonstration


@pytest.fixture
def prepared(
    first_prepared: Demonstration, make_demonstration: Callable[[str], Demonstration]
) -> Demonstration:
    demonstration = make_demonstration("data")
    demonstration.copy_of(first_prepared)
    return demonstration
