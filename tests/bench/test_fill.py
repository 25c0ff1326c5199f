"""What the measurements stand on: databases of the size they claim, and requests that pass."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.bench.__main__ import first_lines
from tests.bench.measuring import Figures, medians, run_python


@pytest.mark.sweep
@pytest.mark.slow
@pytest.mark.sqlite
def test_a_database_has_the_licenses_asked_for_and_signed_keys_among_them(tmp_path: Path) -> None:
    database, file = tmp_path / "bench.sqlite3", tmp_path / "requests.jsonl"
    arguments = ["tests.bench.fill", "50", "4", str(file)]
    run_python(arguments, {"DATABASE_URL": f"sqlite:///{database}", "DATA_DIR": str(tmp_path)})
    stored = sqlite3.connect(database)
    counts = (
        "SELECT count(*), count(DISTINCT jti), count(DISTINCT license_id), count(DISTINCT token)"
    )
    found = stored.execute(f"{counts} FROM licenses_licensekey").fetchone()
    sent = [json.loads(line) for line in file.read_text().splitlines()]
    tokens = stored.execute("SELECT token FROM licenses_licensekey ORDER BY id LIMIT 4").fetchall()
    stored.close()
    assert found == (100, 100, 50, 4)
    assert [request["key"] for request in sent] == [token for (token,) in tokens]


def test_the_first_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text("a\nb\nc\n")
    assert first_lines(file, 2).read_text() == "a\nb\n"


def test_medians_are_taken_of_each_figure() -> None:
    runs = [Figures(3, 10, 30), Figures(1, 30, 20), Figures(2, 20, 10)]
    assert medians(runs) == Figures(2, 20, 20)
