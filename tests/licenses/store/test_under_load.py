"""A backup is taken while people change their keys, and holds all that was answered before."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from licenses.models import LicenseKey
from portal.tenants.models import Role
from tests.support import database
from tests.support.accounts import make_member
from tests.support.factories import make_subscription
from tests.support.stores import empty_place, said
from tests.support.visitor import Visitor

pytestmark = [pytest.mark.database, pytest.mark.sweep, pytest.mark.slow]

CLIENTS = 3
BACKUPS = 3
ROOT = Path(__file__).parents[3]


class Client:
    """A member in a browser, who generates license keys and then resets one again and again."""

    def __init__(self, url, tenant, number):
        email = f"member{number}@contoso.example"
        make_member(tenant=tenant, role=Role.MANAGER, email=email)
        self.page = f"/subscriptions/{make_subscription(tenant=tenant).pk}"
        self.visitor = Visitor(url)
        self.seen: list[tuple[float, str]] = []
        """When the portal showed which `jti` as that of the primary key."""
        self.slowest = 0.0
        assert self.visitor.signs_in(email)[0] == 200

    def works(self, stop):
        form = {"usage": "org", "holder_name": "Contoso"}
        assert self.visitor.post(f"{self.page}/generate/", form)[0] == 200
        while not stop.is_set():
            begin = monotonic()
            body = self.visitor.get(f"{self.page}/reset/primary/")[2]
            [jti] = re.findall(r'name="expected_jti" value="([0-9a-f-]{36})"', body)
            self.seen.append((monotonic(), jti))
            form = {"overlap": "now", "expected_jti": jti}
            assert self.visitor.post(f"{self.page}/reset/primary/", form)[0] == 200
            self.slowest = max(self.slowest, monotonic() - begin)


def test_every_key_that_was_shown_before_a_backup_began_is_in_it(
    live_portal, contoso, signing_key, tmp_path
):
    clients = [Client(live_portal.url, contoso, number) for number in range(CLIENTS)]
    addresses = {"DATABASE_URL": database.url(), "MIGRATION_DATABASE_URL": ""}
    stop, backups = Event(), []
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(client.works, stop) for client in clients]
        try:
            while min(len(client.seen) for client in clients) < 3:
                assert not any(each.done() for each in running)
            for _ in range(BACKUPS):
                began = monotonic()
                done = subprocess.run(
                    [sys.executable, "manage.py", "backup", str(tmp_path / "backups")],
                    cwd=ROOT,
                    env=os.environ | addresses,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert (done.returncode, done.stderr) == (0, "")
                backups.append((began, Path(done.stdout.split()[-1].rstrip("."))))
        finally:
            stop.set()
        for each in running:
            each.result()
    assert max(client.slowest for client in clients) < 10
    for began, backup in backups:
        shown = {jti for client in clients for at, jti in client.seen if at < began}
        with empty_place(tmp_path):
            assert said("restore", str(backup))[1:] == ("", "")
            held = {str(jti) for jti in LicenseKey.objects.values_list("jti", flat=True)}
            assert shown - held == set()
            assert said("verify_store")[1:] == ("", "")
    last = {client.seen[-1][1] for client in clients}
    assert last - held != set()  # they went on meanwhile, and the backup is of one moment
