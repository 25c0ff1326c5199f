"""Folders in which a demonstration is made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from tests.demonstration.processes import Demonstration


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
def first_prepared(tmp_path_factory: pytest.TempPathFactory, static_files: None) -> Demonstration:
    """A demonstration to copy: making one takes seconds."""
    demonstration = Demonstration(tmp_path_factory.mktemp("demonstration"))
    shutil.copytree(settings.STATIC_ROOT, demonstration.folder / "static")
    demonstration.prepare()
    return demonstration


@pytest.fixture
def prepared(
    first_prepared: Demonstration, make_demonstration: Callable[[str], Demonstration]
) -> Demonstration:
    demonstration = make_demonstration("data")
    demonstration.copy_of(first_prepared)
    return demonstration
