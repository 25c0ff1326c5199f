"""Nobody's slow line stops a terminal or a page."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from licenses.models import Slot
from portal.server.node import DRAIN_SECONDS
from tests.support.factories import make_license
from tests.support.server import LivePortal
from tests.support.slow import SMALL, Crowd, held_by, serve
from tests.support.terminals import body_for
from tests.support.wire import ask, connect, head, one_answer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_checks_and_pages_are_answered_among_slow_clients(
    live_portal: LivePortal, owner_client: Client, signing_key: object
) -> None:
    key = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
    session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
    address = ("127.0.0.1", live_portal.port)
    body = json.dumps(body_for(key)).encode()
    before = memory(live_portal)
    with held_by(SMALL, address, session):
        served = serve(address, body, session, seconds=4)
    assert served.failures == []
    assert min(len(served.checks), len(served.pages)) >= 3
    assert served.within(0.99) < 2  # seconds; on a quiet machine 0.05
    assert memory(live_portal) - before < 64 * 1024


def memory(portal: LivePortal) -> int:
    """Return the KiB that the process which answers holds."""
    [process] = processes(portal)
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def processes(portal: LivePortal) -> list[int]:
    assert portal.process is not None
    command = ["ps", "-o", "pid=", "--ppid", str(portal.process.pid)]
    found = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found]


def test_a_process_that_dies_again_and_again_does_not_end_the_node(
    another_portal: Callable[..., LivePortal],
) -> None:
    portal = another_portal()
    for _ in range(2):
        [process] = processes(portal)
        os.kill(process, signal.SIGKILL)
        portal.await_ready()
    portal.must_live()


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGHUP, marks=pytest.mark.sweep), signal.SIGUSR1],
    ids=["alone", "supervised"],
)
def test_a_restart_of_the_processes_loses_no_request(
    another_portal: Callable[..., LivePortal],
    owner_client: Client,
    signing_key: object,
    how: signal.Signals,
) -> None:
    portal = another_portal()
    key = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
    session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
    address = ("127.0.0.1", portal.port)
    [before] = processes(portal)
    assert portal.process is not None
    portal.process.send_signal(how)
    served = serve(address, json.dumps(body_for(key)).encode(), session, seconds=7)
    assert served.failures == []
    assert before not in processes(portal)


def test_what_has_begun_is_answered_before_the_end(
    another_portal: Callable[..., LivePortal], signing_key: object
) -> None:
    portal = another_portal()
    key = make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)
    body = json.dumps(body_for(key)).encode()
    kind = "Content-Type: application/json; charset=utf-8"
    request = head("POST", "/public/checklicense", kind, f"Content-Length: {len(body)}") + body
    with connect(portal) as wire:
        wire.sendall(request[:-100])
        assert ask(portal, request)[0] == 200  # so the first half has been seen
        assert portal.process is not None
        portal.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            portal.process.wait(timeout=0.5)
        wire.sendall(request[-100:])
        assert one_answer(wire)[0] == 200
    assert portal.process.wait(timeout=10) == 0


@pytest.mark.sweep
def test_slow_clients_do_not_hold_up_the_end(
    another_portal: Callable[..., LivePortal], owner_client: Client
) -> None:
    portal = another_portal()
    assert portal.process is not None
    session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
    with held_by(Crowd(4, 4, 4), ("127.0.0.1", portal.port), session):
        portal.process.terminate()
        assert portal.process.wait(timeout=2 * DRAIN_SECONDS) == 0
