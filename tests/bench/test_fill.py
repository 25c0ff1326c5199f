"""What the measurements stand on: databases of the size they claim, and requests that pass."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.bench.measuring import run_python


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


@pytest.mark.sweep
@pytest.mark.slow
@pytest.mark.sqlite
def test_people_have_forms_of_their_own_and_a_log_whose_count_is_right(tmp_path: Path) -> None:
    database = tmp_path / "bench.sqlite3"
    environment = {"DATABASE_URL": f"sqlite:///{database}", "DATA_DIR": str(tmp_path)}
    run_python(["tests.bench.people", "30", "40", "20", "3", str(tmp_path)], environment)
    files = ("generate.tsv", "reset.tsv", "sign-in.tsv")
    requests = [
        [line.split("\t") for line in (tmp_path / name).read_text().splitlines()] for name in files
    ]
    counts = [
        (len(lines), len({(path, form) for path, _, form in lines}), len({c for _, c, _ in lines}))
        for lines in requests
    ]
    stored = sqlite3.connect(database)
    chain = stored.execute(
        "SELECT chain.count, count(*), max(seq) FROM portal_logchain AS chain, portal_logentry"
    ).fetchall()
    triggers = stored.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
    ).fetchone()
    stored.close()
    assert counts == [(20, 20, 16), (20, 20, 16), (3, 3, 1)]
    assert chain == [(40, 40, 40)]
    assert triggers == (6,)
