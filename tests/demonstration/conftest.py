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


@pytest.fixture
def prepared(make_demonstration: Callable[[str], Demonstration]) -> Demonstration:
    demonstration = make_demonstration("data")
    demonstration.prepare()
    return demonstration
