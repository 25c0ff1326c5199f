"""One request: signed as Standard Webhooks says, and bounded whatever the receiver does."""

import base64
import gzip
import hashlib
import hmac
import socket
import time

import pytest

from portal.webhooks import sending
from portal.webhooks.sending import Request, new_secret, send, signature
from tests.support.receivers import sent_to


@pytest.fixture
def soon(monkeypatch):
    """Shorten the time that a delivery may take: nobody waits ten seconds for a test."""
    monkeypatch.setattr(sending, "SECONDS", 0.3)


def test_the_signature_is_that_of_the_specification():
    """The example of standard-webhooks.md, computed by its reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = '{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_each_secret_of_a_rotation_gives_a_signature(receiver):
    secrets = (new_secret(), new_secret())
    answer = send(Request(url=receiver.url, event_id="msg_1", body='{"a":"ü"}', secrets=secrets))
    assert (answer.code, answer.error, answer.is_delivered) == (200, "", True)
    [got] = receiver.received
    signed = f"msg_1.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = [
        "v1,"
        + base64.b64encode(
            hmac.new(base64.b64decode(secret[6:]), signed, hashlib.sha256).digest()
        ).decode()
        for secret in secrets
    ]
    assert got.headers["webhook-signature"].split(" ") == expected
    assert got.headers["webhook-id"] == "msg_1"
    assert abs(time.time() - int(got.headers["webhook-timestamp"])) < 30
    assert got.headers["Host"] == f"localhost:{receiver.port}"
    assert {"Cookie", "Authorization"}.isdisjoint(got.headers)


def test_a_redirect_is_not_followed(receiver):
    receiver.status, receiver.headers = 307, {"Location": receiver.url + "/other"}
    answer = sent_to(receiver.url)
    assert (answer.code, answer.is_delivered) == (307, False)
    assert answer.error == "Redirects are not followed: enter the final address."
    assert len(receiver.received) == 1


def test_no_proxy_of_the_environment_is_asked(receiver, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert sent_to(receiver.url).is_delivered


def test_a_long_answer_is_read_to_64_kib_and_kept_to_2000_characters(receiver):
    receiver.answer = b"x" * 10_000_000
    answer = sent_to(receiver.url)
    assert (answer.is_delivered, answer.text) == (True, "x" * 2000)


def test_nothing_is_decompressed(receiver):
    receiver.answer = gzip.compress(b"x" * 1_000_000)
    receiver.headers = {"Content-Encoding": "gzip"}
    answer = sent_to(receiver.url)
    assert answer.is_delivered
    assert "xxx" not in answer.text


def test_what_no_page_can_show_is_replaced(receiver):
    receiver.answer = b"a\x00b\x1b[31m\xff"
    assert sent_to(receiver.url).text == "a\ufffdb\ufffd[31m\ufffd"


def test_headers_without_end_are_refused(receiver):
    receiver.raw = (
        b"HTTP/1.1 200 OK\r\n" + b"a: " + b"x" * 60_000 + b"\r\n" + b"b: " + b"x" * 90_000
    )
    answer = sent_to(receiver.url)
    assert (answer.code, answer.is_delivered) == (0, False)


def test_an_answer_that_trickles_ends_in_time(receiver, soon):
    receiver.trickles, receiver.raw = True, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000
    begun = time.monotonic()
    answer = sent_to(receiver.url)
    assert (answer.code, answer.error) == (0, "No complete response within 0 seconds.")
    assert time.monotonic() - begun < 0.9


def test_a_receiver_that_hangs_is_left_in_time(receiver, soon):
    receiver.before_answer = lambda _: time.sleep(1)
    begun = time.monotonic()
    answer = sent_to(receiver.url)
    assert answer.error.startswith("No complete response within")
    assert time.monotonic() - begun < 0.9


def test_a_name_that_is_not_resolved_in_time_is_left(monkeypatch, soon):
    def look_up(*_args, **_kwargs):
        time.sleep(0.6)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    begun = time.monotonic()
    assert sent_to("https://slow.example/").error.startswith("No complete response within")
    assert time.monotonic() - begun < 0.5


def test_a_certificate_for_another_name_is_refused(receiver):
    answer = sent_to(f"https://127.0.0.1:{receiver.port}/")
    assert answer.error.startswith("The certificate is not valid: ")
    assert not answer.error.endswith("..")
    assert receiver.received == []


def test_nobody_listens(receiver):
    assert sent_to("https://localhost:1/").error == (
        "The receiver refused the connection: nothing listens on this port."
    )


def test_an_answer_that_is_none(receiver):
    receiver.raw = b"SSH-2.0-OpenSSH\r\n"
    answer = sent_to(receiver.url)
    assert answer.error == "The response is not valid HTTP."


@pytest.mark.parametrize("code", [100, 199, 301, 400, 404, 410, 429, 500, 503])
def test_only_2xx_takes_the_event(receiver, code):
    if code < 200:
        receiver.raw = f"HTTP/1.1 {code} X\r\n\r\n".encode()
    receiver.status = code
    assert not sent_to(receiver.url).is_delivered


def test_the_status_decides_and_not_a_body_that_is_cut_off(receiver):
    for rest in (
        b"Content-Length: 9\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ):
        receiver.raw = b"HTTP/1.1 200 OK\r\n" + rest
        answer = sent_to(receiver.url)
        assert (answer.code, answer.error, answer.is_delivered) == (200, "", True)


def test_retry_after_is_read_in_seconds(receiver):
    receiver.status, receiver.headers = 503, {"Retry-After": "120"}
    assert sent_to(receiver.url).retry_after == 120
    receiver.headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert sent_to(receiver.url).retry_after == 0
