"""A server and its worker as one, with small programs in their place."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from portal.server.supervisor import supervise
from tests.support.repository import ROOT

ASLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
TELLS = "import os, signal, time; os.kill(os.getppid(), signal.{}); time.sleep(60)"


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_each_signal_that_ends_it_ends_both(name: str) -> None:
    server = [sys.executable, "-c", TELLS.format(name)]
    assert supervise(server=server, worker=ASLEEP) == -signal.SIGTERM


def test_sighup_tells_the_server_to_restart_its_processes() -> None:
    """In a process of its own: threads of other tests would not have the signal blocked."""
    server = [sys.executable, "-c", TELLS.format("SIGHUP")]
    code = (
        "from portal.server.supervisor import supervise; "
        f"print(supervise(server={server!r}, worker={ASLEEP!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGUSR1}\n", "")


def test_the_status_of_a_server_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = [sys.executable, "-c", "raise SystemExit(7)"]
    assert supervise(server=server, worker=ASLEEP) == 7
