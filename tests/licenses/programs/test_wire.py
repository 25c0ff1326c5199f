"""The online check on the wire: bytes that a client library would not send, on a real server."""

import json
import os
import signal
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from licenses.models import CheckCount, Slot
from tests.support.factories import make_license
from tests.support.server import LivePortal
from tests.support.terminals import FAILURE, body_for
from tests.support.worker import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def say(portal: LivePortal, text: bytes, *, end: bool = False) -> bytes:
    """Send bytes and return all that comes back until the server hangs up or goes quiet."""
    answer = b""
    with socket.create_connection(("127.0.0.1", urlsplit(portal.url).port or 0), timeout=5) as wire:
        wire.sendall(text)
        if end:
            wire.shutdown(socket.SHUT_WR)
        while not _whole(answer):
            part = wire.recv(65_536)
            if not part:
                break
            answer += part
    return answer


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return bool(found) and length.isdigit() and len(body) >= int(length)


def request(body: bytes, *lines: str, length: int | None = None, method: str = "POST") -> bytes:
    """Return the bytes of a terminal's request: its three headers and no other."""
    framing = lines or [f"Content-Length: {len(body) if length is None else length}"]
    head = [
        f"{method} /public/checklicense HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json; charset=utf-8",
        *framing,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def status_and_body(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


def refused(answer: bytes) -> tuple[int, str, str | None]:
    status, body = status_and_body(answer)
    assert set(body) == FAILURE | ({"help"} if body["result"] else set())
    assert body["error"] == body["error_code"]
    return status, body["error"], body["result"]


@pytest.fixture
def key(signing_key):
    return make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)


def test_a_terminal_starts(live_portal, key):
    status, body = status_and_body(say(live_portal, request(json.dumps(body_for(key)).encode())))
    assert (status, body["result"], body["jti"]) == (200, "valid", str(key.jti))


def test_a_body_over_64_kib_is_refused_before_it_is_read(live_portal):
    """Nothing of the promised body is sent, and still there is an answer."""
    answer = say(live_portal, request(b"", length=65_537))
    assert refused(answer) == (413, "invalid_request", None)


def test_a_body_of_64_kib_is_read(live_portal):
    body = b'{"key": "x"}'.ljust(65_536)
    assert refused(say(live_portal, request(body))) == (400, "invalid_request", "malformed")


def test_a_body_in_chunks_without_length_is_bounded(live_portal):
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = say(live_portal, request(chunk * 4 + b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    status, error, result = refused(answer)
    assert (status in {400, 413}, error, result) == (True, "invalid_request", None)


def test_a_truncated_body_costs_nobody_else_an_answer(live_portal, key):
    for _ in range(8):
        say(live_portal, request(b'{"key": "a', length=500), end=True)
    status, _ = status_and_body(say(live_portal, request(json.dumps(body_for(key)).encode())))
    assert status == 200


def test_a_foreign_host_is_told_in_json(live_portal):
    answer = say(live_portal, request(b"{}").replace(b"Host: localhost", b"Host: evil.example"))
    assert refused(answer) == (400, "invalid_request", None)


@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE", "NONSENSE"])
def test_other_methods_are_told_in_json(method, live_portal):
    answer = say(live_portal, request(b"{}", method=method))
    assert refused(answer) == (405, "invalid_request", None)


def test_cookies_and_sessions_are_neither_read_nor_given(live_portal, key):
    answer = say(live_portal, request(json.dumps(body_for(key)).encode()))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert (b"set-cookie" in head, b"vary" in head, b"no-store" in head) == (False, False, True)


@pytest.mark.sqlite
def test_the_database_away_is_a_503_that_heals(another_portal, key, tmp_path):
    portal = another_portal()
    body = json.dumps(body_for(key)).encode()
    assert status_and_body(say(portal, request(body)))[0] == 200
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE licenses_signingkey RENAME TO away")
    try:
        answer = say(portal, request(body))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO licenses_signingkey")
    assert refused(answer) == (503, "server_error", None)
    assert b"retry-after: 5" in answer.lower()
    assert status_and_body(say(portal, request(body)))[0] == 200


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.sweep)]
)
def test_counts_are_written_when_the_server_stops(how, another_portal, key):
    portal = another_portal(CHECK_COUNT_SECONDS="60")
    for _ in range(3):
        assert status_and_body(say(portal, request(json.dumps(body_for(key)).encode())))[0] == 200
    assert not CheckCount.objects.exists()
    portal.stop(how=how)
    assert list(CheckCount.objects.values_list("license_key", "count")) == [(key.pk, 3)]


def test_counts_are_written_within_seconds(another_portal, key):
    portal = another_portal(CHECK_COUNT_SECONDS="1")
    say(portal, request(json.dumps(body_for(key)).encode()))
    wait_until(CheckCount.objects.exists)
    os.killpg(portal.process.pid, signal.SIGKILL)
    assert CheckCount.objects.get().count == 1


def test_a_throttled_terminal_is_told_when_to_come_again(another_portal, key):
    portal = another_portal(CHECKS_PER_MINUTE="2")
    body = request(json.dumps(body_for(key)).encode())
    answers = [say(portal, body) for _ in range(6)]
    limited = [a for a in answers if a.startswith(b"HTTP/1.1 429")]
    assert refused(limited[0]) == (429, "invalid_request", None)
    assert b"retry-after: " in limited[0].lower()
