"""Files of processes: one a process, taken over when it ends, and read whole or not at all."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from portal.metrics import instruments, node
from portal.metrics.instruments import CHECKS, SIGNING
from tests.support.repository import ROOT

COUNT = """
import os, sys
from django.conf import settings
settings.configure(DATA_DIR=os.environ["DATA_DIR"])
from portal.metrics.instruments import CHECKS
from portal.metrics.node import PROCESS
PROCESS.role = "worker"
CHECKS.add("valid", count=5)
PROCESS.write()
print(PROCESS.number, flush=True)
sys.stdin.read()
os._exit(9)
"""


@pytest.fixture
def folder(settings, tmp_path, monkeypatch) -> Path:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(node, "PROCESS", node.Process())
    return tmp_path / "metrics"


def another(settings) -> subprocess.Popen[str]:
    """Return a process that has counted five checks and lives."""
    return subprocess.Popen(
        [sys.executable, "-c", COUNT],
        cwd=ROOT,
        env=os.environ | {"DATA_DIR": str(settings.DATA_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def checks() -> float:
    return node.sums().rows[CHECKS.name].get(("valid",), [0.0])[0]


def test_counts_of_others_are_added_and_stay_when_they_end(folder, settings):
    own = CHECKS.rows().get(("valid",), [0.0])[0]
    with another(settings) as first, another(settings) as second:
        assert {first.stdout.readline(), second.stdout.readline()} == {"0\n", "1\n"}
        assert checks() == own + 10
        roles = {role for _, role in node.sums().told["license_portal_process_open_files"]}
        assert roles == {"worker", ""}  # this process has no role
        first.communicate()
        second.communicate()
    assert checks() == own + 10
    [told] = node.sums().told["license_portal_process_open_files"]
    assert told == ("2", "")
    with another(settings) as third:
        assert third.stdout.readline() == "0\n"  # it takes over the file of one that has ended
        assert checks() == own + 15
        third.communicate()
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"00000000 {}", b"\xff" * 9], ids=repr)
def test_what_is_no_whole_write_counts_for_nothing(folder, content):
    folder.mkdir()
    (folder / "7").write_bytes(content)
    assert checks() == CHECKS.rows().get(("valid",), [0.0])[0]


def test_what_another_release_counted_in_another_shape_is_left_out(folder):
    before = SIGNING.rows()
    rows = {SIGNING.name: [[[], [1.0, 2.0]]], CHECKS.name: [[["valid", "x"], [3.0]]], "gone": []}
    text = json.dumps({"role": "server", "told": {}, "rows": rows}).encode()
    folder.mkdir()
    for number in ("0", "1"):  # one is taken over, the other one is read
        (folder / number).write_bytes(b"%08x " % zlib.crc32(text) + text)
    found = node.sums()
    assert SIGNING.rows() == before
    assert len(found.rows[SIGNING.name][()]) == SIGNING.length
    assert set(map(len, found.rows[CHECKS.name])) <= {1}


def test_a_folder_that_cannot_be_written_leaves_the_figures_of_this_process(folder, caplog):
    folder.write_text("no folder")
    instruments.CACHE_ERRORS.add()
    assert node.sums().rows[instruments.CACHE_ERRORS.name][()][0] >= 1
    node.sums()
    assert [r.getMessage()[:44] for r in caplog.records] == [
        "Figures of this process are not shared: [Err"
    ]
