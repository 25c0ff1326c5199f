"""The shared cache away, refusing or hanging: limits count in the process, the rest goes on."""

import logging
import socket
from collections.abc import Iterator
from time import monotonic

import pytest
from django.core.cache import cache, caches
from django.test import Client

from portal.server import cache as server_cache
from tests.support.accounts import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["refuses", "hangs", "hangs up", "talks nonsense"])
def away(request, settings, monkeypatch) -> Iterator[None]:
    """A cache that is none, in one of four ways."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if request.param != "refuses":
            listener.listen(64)
        stop = None
        if request.param in {"hangs up", "talks nonsense"}:
            stop = _answering(listener, b"" if request.param == "hangs up" else b"HTTP/1.1 400\r\n")
        monkeypatch.setattr(server_cache, "_absence", server_cache._Absence())
        settings.CACHE_URL = f"redis://127.0.0.1:{port}/0"
        settings.CACHES = {
            "default": {
                "BACKEND": "portal.server.cache.SharedCache",
                "LOCATION": [settings.CACHE_URL],
            }
        }
        cache.clear()
        monkeypatch.setattr(server_cache, "_absence", server_cache._Absence())
        yield
        caches["default"].close()
        if stop is not None:
            listener.shutdown(socket.SHUT_RDWR)
            stop()


def _answering(listener: socket.socket, answer: bytes):
    from threading import Thread

    def answering() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if answer:
                    connection.recv(1024)
                    connection.sendall(answer)

    thread = Thread(target=answering)
    thread.start()
    return thread.join


def test_every_method_goes_on_in_the_memory_of_the_process(away):
    begin = monotonic()
    assert cache.get("a", "none") == "none"
    assert cache.add("a", 1) is True
    assert cache.add("a", 2) is False
    assert (cache.incr("a"), cache.decr("a", 2), cache.get("a")) == (2, 0, 0)
    with pytest.raises(ValueError, match="not found"):
        cache.incr("b")
    cache.set("b", "x", timeout=60)
    assert (cache.has_key("b"), "b" in cache, cache.touch("b", 60)) == (True, True, True)
    assert cache.get_many(["a", "b", "c"]) == {"a": 0, "b": "x"}
    assert cache.set_many({"c": 3}) == []
    assert (cache.get_or_set("d", 4), cache.delete("d"), cache.delete("d")) == (4, True, False)
    cache.delete_many(["a", "c"])
    cache.clear()
    assert cache.get_many(["a", "b", "c"]) == {}
    assert monotonic() - begin < 2


def test_limits_count_in_the_process_and_the_log_says_so_once(away, settings, caplog):
    settings.CHECKS_PER_MINUTE = 2
    client = Client()
    with caplog.at_level(logging.WARNING):
        statuses = [
            client.post("/public/checklicense", b"{}", content_type="application/json").status_code
            for _ in range(8)
        ]
    assert statuses.count(429) >= 4
    [line] = [record for record in caplog.records if record.name == "portal.cache"]
    assert line.getMessage().startswith("The cache is away, each process counts for itself: ")


def test_a_check_does_not_wait_until_a_cache_that_hangs_times_out(settings, monkeypatch):
    settings.CHECKS_PER_MINUTE = 2
    monkeypatch.setattr(server_cache, "_absence", server_cache._Absence())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        settings.CACHE_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        settings.CACHES = {
            "default": {
                "BACKEND": "portal.server.cache.SharedCache",
                "LOCATION": [settings.CACHE_URL],
                "OPTIONS": {"socket_timeout": 60, "socket_connect_timeout": 60},
            }
        }
        server_cache._absence.begin(TimeoutError())
        cache.clear()  # the memory, of what other tests have counted there
        monkeypatch.setattr(server_cache, "_absence", server_cache._Absence())
        begin = monotonic()
        statuses = {
            Client()
            .post("/public/checklicense", b"{}", content_type="application/json")
            .status_code
            for _ in range(8)
        }
        assert (statuses, monotonic() - begin < 30) == ({400, 429}, True)


def test_sign_in_and_admin_answer(away, owner, operator_client):
    client = Client()
    begin = monotonic()
    answer = client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/subscriptions/").status_code == 200
    assert operator_client.get("/admin/").status_code == 200
    assert monotonic() - begin < 10  # the hash of the password, and time-outs of 0.25 s
