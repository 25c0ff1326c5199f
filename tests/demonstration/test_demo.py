"""The demonstration as people start it: real processes in a fresh folder, killed and run again."""

import re
import signal
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.demonstration import Demonstration, kill, modes
from tests.support.killed import MOMENTS
from tests.support.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

# Prepare


def test_a_fresh_folder_becomes_a_demonstration(first_prepared, prepared):
    prepared.must_be_whole()
    folder = first_prepared.folder
    assert modes(folder) == {"demo.json": "0o600", "secrets.json": "0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert sorted(path.name for path in folder.iterdir()) == [
        "demo.json",
        "portal.sqlite3",
        "secrets.json",
        "static",
    ]
    told = first_prepared.contents()
    assert list(told) == ["url", "metrics_token", "accounts"]
    assert (told["url"], len(told["metrics_token"])) == (first_prepared.url, 64)
    everybody, with_app = ["email", "password", "tenant", "role"], ["totp_secret"]
    assert [list(account) for account in told["accounts"]] == [
        *[everybody] * 3,
        everybody + with_app,
        *[everybody] * 2,
        everybody + with_app,
    ]
    assert len({account["password"] for account in told["accounts"]}) == 7
    assert min(len(account["password"]) for account in told["accounts"]) == 16
    out = (folder.parents[2].with_name("first.txt")).read_text()
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["License", "portal:", first_prepared.url]
    assert [line[:2] for line in lines if line and "@" in line[0]] == [
        [account["email"], account["password"]] for account in told["accounts"]
    ]


def test_a_second_run_keeps_data_and_passwords(prepared):
    told = (prepared.folder / "demo.json").read_bytes()
    secrets = (prepared.folder / "secrets.json").read_bytes()
    prepared.query("UPDATE subscriptions_subscription SET name = 'Mine' WHERE state = 'pending'")
    tables = ["portal_user", "portal_logentry", "licenses_licensekey", "subscriptions_subscription"]
    before = [prepared.query(f"SELECT * FROM {table}") for table in tables]
    prepared.prepare()
    assert [prepared.query(f"SELECT * FROM {table}") for table in tables] == before
    assert (prepared.folder / "demo.json").read_bytes() == told
    assert (prepared.folder / "secrets.json").read_bytes() == secrets
    prepared.must_be_whole()


@pytest.mark.sweep
def test_reset_starts_over(prepared):
    before = {account["email"]: account["password"] for account in prepared.accounts}
    tenants = prepared.query("SELECT id FROM portal_tenant")
    prepared.query("UPDATE subscriptions_subscription SET name = 'Mine'")
    prepared.prepare("--reset")
    prepared.must_be_whole()
    after = {account["email"]: account["password"] for account in prepared.accounts}
    assert [email for email in before if before[email] == after[email]] == []
    assert set(prepared.query("SELECT id FROM portal_tenant")) & set(tenants) == set()
    assert prepared.query("SELECT 1 FROM subscriptions_subscription WHERE name = 'Mine'") == []


def must_die(demonstration, moment, *more):
    arguments = ["-m", "tests.support.killed", moment, "demo", "--no-serve", *more]
    status, _, err = demonstration.run(*arguments)
    assert status == -signal.SIGKILL, err


@pytest.mark.sweep
def test_a_run_killed_at_any_moment_is_finished_by_the_next(make_demonstration):
    """Every run but the last is killed, each at a later moment than the one before."""
    demonstration = make_demonstration("data")
    *moments, last, _, _ = MOMENTS
    for moment in moments:
        must_die(demonstration, moment)
        with pytest.raises((AssertionError, FileNotFoundError, sqlite3.Error)):
            demonstration.must_be_whole()
    must_die(demonstration, last)
    assert (demonstration.folder / "demo.draft.json").exists()
    demonstration.prepare()
    demonstration.must_be_whole()
    assert modes(demonstration.folder) == {"demo.json": "0o600", "secrets.json": "0o600"}


@pytest.mark.sweep
@pytest.mark.parametrize("moment", [*MOMENTS][-2:])
def test_a_reset_that_was_killed_is_finished_by_the_next_run(moment, prepared):
    before = {account["email"]: account["password"] for account in prepared.accounts}
    must_die(prepared, moment, "--reset")
    prepared.prepare()
    prepared.must_be_whole()
    after = {account["email"]: account["password"] for account in prepared.accounts}
    assert [email for email in before if before[email] == after[email]] == []


# Serve


@pytest.fixture
def served(prepared: Demonstration) -> Iterator[Demonstration]:
    process = prepared.start("manage.py", "demo")
    wait_until(lambda: prepared.answers("/healthz/ready"))
    yield prepared
    kill(process)


def browser() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    )


def sign_in(demonstration: Demonstration, email: str, password: str) -> str:
    """Sign in as a browser does and return the path that one ends on."""
    opened, address = browser(), f"{demonstration.url}/accounts/login/"
    with opened.open(address) as page:
        [token] = set(re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode()))
    form = {"csrfmiddlewaretoken": token, "login": email, "password": password}
    with opened.open(address, urlencode(form).encode()) as page:
        return urlsplit(page.url).path


def listeners(port: int) -> set[str]:
    """Return the addresses on which something listens at the port, as Linux tells (hex)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, state = line.split()[1:4]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                found.add(address.rpartition(":")[0])
    return found


def test_the_served_portal_is_for_this_machine_and_lets_everybody_in(served):
    assert listeners(served.port) == {"0100007F"}
    places = {a["email"]: sign_in(served, a["email"], a["password"]) for a in served.accounts}
    with_second_factor = ("operator@operator.example", "engineer@contoso.example")
    assert {places.pop(each) for each in with_second_factor} == {"/accounts/2fa/authenticate/"}
    assert places == dict.fromkeys(places, "/subscriptions/")
    assert sign_in(served, "owner@contoso.example", "wrong") == "/accounts/login/"


@pytest.mark.parametrize("command", ["demo", pytest.param("serve", marks=pytest.mark.sweep)])
def test_a_port_that_is_taken_is_told_in_a_sentence(command, make_demonstration):
    demonstration = make_demonstration("data")
    with socket.socket() as other:
        other.bind(("127.0.0.1", demonstration.port))
        other.listen()
        status, _, err = demonstration.run("manage.py", command)
    port = demonstration.port
    assert (status, err) == (
        1,
        (
            f"CommandError: Port {port} of 127.0.0.1 is taken (Address already in use). Stop what "
            f"runs there, or choose another port: make run PORT={port + 1}\n"
        ),
    )
    assert not (demonstration.folder / "demo.json").exists()
