"""The worker of the demonstration: it prints mail, comes back when it dies, and ends with all."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.demonstration import ROOT, Demonstration, kill
from tests.support.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
RESET = "/accounts/password/reset/"


@pytest.fixture
def running(prepared: Demonstration) -> Iterator[subprocess.Popen[str]]:
    process = prepared.start("manage.py", "demo")
    wait_until(lambda: prepared.answers("/healthz/live"))
    wait_until(lambda: len(workers(process)) == 1)
    yield process
    kill(process)


def ask_for_a_mail(demonstration: Demonstration, email: str) -> None:
    """Ask for a new password, under a host name that is not the portal's."""
    connection = HTTPConnection("127.0.0.1", demonstration.port, timeout=30)
    connection.request("GET", RESET)
    page = connection.getresponse()
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    [token] = set(re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode()))
    connection.request(
        "POST",
        RESET,
        urlencode({"csrfmiddlewaretoken": token, "email": email}),
        {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert connection.getresponse().status == 302
    connection.close()


def sent(demonstration: Demonstration) -> int:
    """Return how many links for a new password went out; reminders go out besides."""
    of_these = "subject = 'Set a new password' AND sent_at IS NOT NULL"
    return len(demonstration.query(f"SELECT 1 FROM portal_outbox WHERE {of_these}"))


def group(process: subprocess.Popen[str]) -> dict[int, str]:
    """Return the commands that run in the session of the process, by their identifiers."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if session == process.pid and command:
            found[int(folder.name)] = command
    return found


def workers(process: subprocess.Popen[str]) -> list[int]:
    return [pid for pid, command in group(process).items() if "run_worker" in command]


def test_mail_is_printed_by_a_worker_that_comes_back_when_it_dies(prepared, running):
    ask_for_a_mail(prepared, "owner@contoso.example")
    wait_until(lambda: sent(prepared) == 1)
    [killed] = workers(running)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: workers(running) not in ([killed], []))
    ask_for_a_mail(prepared, "owner@fabrikam.example")
    wait_until(lambda: sent(prepared) == 2)
    running.terminate()
    out, err = running.communicate(timeout=30)
    assert re.findall(r"^Mail to (\S+): Set a new password$", out, re.MULTILINE) == [
        "owner@contoso.example",
        "owner@fabrikam.example",
    ]
    links = re.findall(r"http://\S+/key/\S+", out)
    assert [link.partition("/accounts/")[0] for link in links] == [prepared.url] * 2
    assert "The worker ended with status -9; it is started again" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(
            lambda pid: os.kill(pid, signal.SIGTERM), id="SIGTERM", marks=pytest.mark.sweep
        ),
        pytest.param(
            lambda pid: os.killpg(pid, signal.SIGINT),
            id="Ctrl-C in a terminal",
            marks=pytest.mark.sweep,
        ),
    ],
)
def test_server_and_worker_end_together(how, prepared, running):
    assert len(group(running)) >= 3
    how(running.pid)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, group(running), err) == (0, {}, "")
    assert not prepared.answers("/healthz/live")


@pytest.mark.sweep
def test_a_terminal_that_closes_ends_both(prepared):
    ours, theirs = pty.openpty()
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    run = "os.execv(sys.executable, [sys.executable, 'manage.py', 'demo'])"
    process = subprocess.Popen(
        [sys.executable, "-c", take + run],
        cwd=ROOT,
        env=prepared.environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        os.close(theirs)
        wait_until(lambda: prepared.answers("/healthz/live"))
        os.close(ours)
        assert process.wait(timeout=30) == 0
        assert group(process) == {}
    finally:
        kill(process)


def test_sighup_restarts_the_processes_and_the_worker(prepared, running):
    before = set(group(running)) - {running.pid}
    [server] = [pid for pid in before if parent_of(pid) == running.pid and is_server(pid)]
    os.kill(running.pid, signal.SIGHUP)
    wait_until(lambda: before & set(group(running)) == {server})
    wait_until(lambda: len(workers(running)) == 1)
    assert prepared.answers("/healthz/live")
    assert running.poll() is None


def is_server(pid: int) -> bool:
    return b"portal.server.node" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.sweep
def test_when_the_server_dies_the_worker_ends_too(running):
    [server] = [pid for pid in group(running) if is_server(pid) and parent_of(pid) == running.pid]
    os.kill(server, signal.SIGKILL)
    assert running.wait(timeout=30) != 0
    wait_until(lambda: workers(running) == [])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
