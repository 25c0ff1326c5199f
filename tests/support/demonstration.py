"""A demonstration in a folder of its own, and the processes that run on it."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import check_password

ROOT = Path(__file__).parent.parent.parent
WITHIN = 60
PEOPLE = [
    ("owner@contoso.example", "Contoso Ltd", "owner"),
    ("manager@contoso.example", "Contoso Ltd", "manager"),
    ("viewer@contoso.example", "Contoso Ltd", "viewer"),
    ("engineer@contoso.example", "Contoso Ltd", "manager"),
    ("owner@fabrikam.example", "Fabrikam GmbH", "owner"),
    ("owner@kitakaze.example", "北風計測株式会社", "owner"),
    ("operator@operator.example", None, "operator"),
]
SUBSCRIPTIONS = [
    # tenant, plan, state, days until the keys expire (None: no keys)
    ("Contoso Ltd", "community", "active", -12),
    ("Contoso Ltd", "community", "active", 3),
    ("Contoso Ltd", "enterprise-yearly", "active", 323),
    ("Contoso Ltd", "isv-monthly", "ended", -101),
    ("Contoso Ltd", "isvu-monthly", "pending", None),
    ("Contoso Ltd", "micro-yearly", "suspended", 55),
    ("Contoso Ltd", "smb-monthly", "active", 26),
    ("Contoso Ltd", "smb-yearly", "active", None),
    ("Fabrikam GmbH", "enterprise-yearly", "active", 353),
    ("Fabrikam GmbH", "micro-monthly", "active", None),
    ("北風計測株式会社", "smb-monthly", "active", -35),
]


class Demonstration:
    """A folder with a demonstration of its own, and the processes that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.url = f"http://localhost:{self.port}"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = inherited | {
            "DEMONSTRATION": "true",
            "DATA_DIR": str(folder),
            "PORT": str(self.port),
            "SIGNING_KEY_BITS": "2048",
            "LOG_LEVEL": "WARNING",
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run Python to its end and return status, output and error output."""
        process = self.start(*arguments, **variables)
        try:
            out, err = process.communicate(timeout=WITHIN)
        finally:
            kill(process)
        return process.returncode, out, err

    def prepare(self, *more: str) -> str:
        status, out, err = self.run("manage.py", "demo", "--no-serve", *more)
        assert (status, err) == (0, ""), err
        return out

    def copy_of(self, other: "Demonstration") -> None:
        """Become what the other one is, at an address of its own."""
        shutil.copytree(other.folder, self.folder, dirs_exist_ok=True)
        file = self.folder / "demo.json"
        file.write_text(file.read_text().replace(other.url, self.url))

    def answers(self, path: str) -> bool:
        """Return whether somebody answers there with 200."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def contents(self) -> dict[str, Any]:
        """Return what `demo.json` says."""
        return json.loads((self.folder / "demo.json").read_text())

    @property
    def accounts(self) -> list[dict[str, Any]]:
        return self.contents()["accounts"]

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "portal.sqlite3")) as database, database:
            return database.execute(sql, values).fetchall()

    def must_be_whole(self) -> None:
        """Fail unless everything promised is there, once, and every password of the file works."""
        assert [(a["email"], a["tenant"], a["role"]) for a in self.accounts] == PEOPLE
        hashes = dict(self.query("SELECT email, password FROM portal_user"))
        assert sorted(hashes) == sorted(email for email, _, _ in PEOPLE)
        wrong = [
            account["email"]
            for account in self.accounts
            if not check_password(account["password"], hashes[account["email"]])
        ]
        assert wrong == []
        assert self.subscriptions() == SUBSCRIPTIONS
        states = self.query("SELECT state FROM licenses_signingkey ORDER BY created_at")
        assert states == [("passive",), ("active",)]
        hours = "SELECT count(DISTINCT hour), count(DISTINCT result) FROM licenses_checkcount"
        [(hours_counted, results)] = self.query(hours)
        assert (hours_counted > 700, results) == (True, 7)
        unused = "SELECT count(*) FROM licenses_licensekey WHERE awaits_first_check"
        assert self.query(unused) == [(0,)]
        new = "SELECT count(*) FROM portal_user WHERE date_joined > datetime('now', '-50 days')"
        assert self.query(new) == [(0,)]
        assert self.query("SELECT count(*) FROM portal_outbox WHERE text != ''") == [(0,)]

    def subscriptions(self) -> list[tuple[str, str, str, int | None]]:
        rows = self.query(
            """SELECT t.name, p.code, s.state, MIN(k.expires_at), COUNT(k.id) FROM
            subscriptions_subscription s
            JOIN portal_tenant t ON t.id = s.tenant_id JOIN subscriptions_plan p ON p.id = s.plan_id
            LEFT JOIN licenses_license l ON l.subscription_id = s.id AND l.deleted_at IS NULL
            LEFT JOIN licenses_licensekey k ON k.license_id = l.id AND k.state = 'current'
            WHERE s.ends_at IS NULL GROUP BY s.id ORDER BY t.name, p.code, s.state, 4"""
        )
        assert {count for *_, count in rows} == {0, 2}
        return [(*row[:3], days_until(row[3]) if row[3] else None) for row in rows]


def days_until(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round((moment - datetime.now(UTC)).total_seconds() / 86_400)


def kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.glob("*.json")}
