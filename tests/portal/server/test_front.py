"""The front on the wire: bodies, headers and clients as a network brings them."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client

from licenses.models import LicenseKey, Slot
from portal.activity import entries
from portal.activity.actions import Action
from portal.core.actors import SYSTEM
from portal.server import bodies
from portal.server.handler import environ_of
from tests.support.factories import make_license
from tests.support.server import LivePortal
from tests.support.terminals import FAILURE, body_for
from tests.support.wire import ask, connect, csrf_token, head, in_chunks, one_answer, to_the_end

pytestmark = pytest.mark.django_db(transaction=True)

CHECK = "/public/checklicense"
LOGIN = "/accounts/login/"
JSON = "Content-Type: application/json; charset=utf-8"
FORM = "Content-Type: application/x-www-form-urlencoded"
OWN = {"x-request-id", "date", "server", "content-length"}
"""Headers that differ from request to request, and those of granian."""


@pytest.fixture
def key(signing_key: Any) -> LicenseKey:
    return make_license(signing_key=signing_key).keys.get(slot=Slot.PRIMARY)


def check_of(key: LicenseKey) -> bytes:
    body = json.dumps(body_for(key)).encode()
    return head("POST", CHECK, JSON, f"Content-Length: {len(body)}") + body


class TestBodies:
    def test_a_check_in_chunks_is_answered(self, live_portal: LivePortal, key: LicenseKey) -> None:
        body = json.dumps(body_for(key)).encode()
        chunked = head("POST", CHECK, JSON, "Transfer-Encoding: chunked")
        status, _, told = ask(live_portal, chunked, *in_chunks(body, 100))
        assert (status, json.loads(told)["result"]) == (200, "valid")

    def test_a_form_in_chunks_is_read(self, live_portal: LivePortal) -> None:
        _, headers, page = ask(live_portal, head("GET", LOGIN))
        cookie = f"Cookie: {headers['set-cookie'].partition(';')[0]}"
        form = {"csrfmiddlewaretoken": csrf_token(page), "login": "nobody@contoso.example"}
        body = urlencode(form | {"password": "wrong horse"}).encode()
        chunked = head("POST", LOGIN, FORM, cookie, "Transfer-Encoding: chunked")
        status, _, page = ask(live_portal, chunked, *in_chunks(body, 7))
        assert status == 200
        assert b"The email address or the password is not correct." in page

    def test_a_large_upload_gets_an_answer_that_can_be_read(self, live_portal: LivePortal) -> None:
        with connect(live_portal) as wire:
            wire.sendall(head("POST", LOGIN, FORM, "Content-Length: 30000000"))
            wire.sendall(b"x" * 1_000_000)
            status, headers, page = one_answer(wire)
        assert (status, headers["connection"]) == (413, "close")
        assert "have at most 5.0\xa0MB" in page.decode()

    def test_chunks_without_end_are_refused_at_the_limit(self, live_portal: LivePortal) -> None:
        with connect(live_portal) as wire:
            wire.sendall(head("POST", CHECK, JSON, "Transfer-Encoding: chunked"))
            wire.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n10000\r\n ")
            status, _, told = one_answer(wire)
        assert (status, json.loads(told)["error"]) == (413, "invalid_request")

    def test_slow_bodies_are_given_up_in_the_words_of_each(self, live_portal: LivePortal) -> None:
        with connect(live_portal) as terminal, connect(live_portal) as person:
            terminal.sendall(head("POST", CHECK, JSON, "Content-Length: 100") + b"{")
            person.sendall(head("POST", LOGIN, FORM, "Content-Length: 100") + b"l")
            begun = time.monotonic()
            told, page = to_the_end(terminal), to_the_end(person)
        assert bodies.GRACE_SECONDS - 1 < time.monotonic() - begun < bodies.GRACE_SECONDS + 10
        assert told.startswith(b"HTTP/1.1 408 ")
        refusal = json.loads(told.partition(b"\r\n\r\n")[2])
        assert (set(refusal), refusal["error"]) == (FAILURE, "invalid_request")
        assert page.startswith(b"HTTP/1.1 408 ")
        assert b"This did not arrive in time" in page


class TestHeaders:
    def test_names_with_underscores_are_dropped_before_anything_reads_them(self) -> None:
        scope = {
            "raw_path": b"/caf%C3%A9",
            "query_string": b"a=%C3%A9",
            "method": "GET",
            "server": ("127.0.0.1", 8000),
            "client": ("192.0.2.1", 4000),
            "http_version": "1.1",
            "scheme": "http",
            "headers": [
                (b"x-forwarded-for", b"198.51.100.1"),
                (b"x_forwarded_for", b"203.0.113.9"),
                (b"x_forwarded-for", b"203.0.113.9"),
                (b"accept", b"text/html"),
                (b"accept", b"*/*"),
                (b"cookie", b"a=1"),
                (b"cookie", b"b=\xe9"),
            ],
        }
        environ = environ_of(scope)
        http = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        assert http == {
            "HTTP_X_FORWARDED_FOR": "198.51.100.1",
            "HTTP_ACCEPT": "text/html,*/*",
            "HTTP_COOKIE": "a=1; b=\xe9",
        }
        assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/caf\xc3\xa9", "a=%C3%A9")

    def test_a_foreign_cookie_signs_nobody_out(
        self, live_portal: LivePortal, owner_client: Client
    ) -> None:
        session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
        cookie = f"Cookie: foreign=\xe9\xff; {settings.SESSION_COOKIE_NAME}={session}"
        status, _, page = ask(live_portal, head("GET", "/subscriptions/", cookie))
        assert (status, b"Contoso" in page) == (200, True)


class TestFastPaths:
    @pytest.mark.parametrize(
        ("method", "path", "content", "kind"),
        [
            ("POST", CHECK, "good", "application/json; charset=utf-8"),
            ("POST", CHECK, '{"key": "x"}', "application/json"),
            ("POST", CHECK, "{}", "text/plain"),
            ("GET", CHECK, "", "application/json"),
            ("GET", "/.well-known/jwks.json", "", ""),
            ("HEAD", "/.well-known/jwks.json", "", ""),
            ("POST", "/.well-known/jwks.json", "", ""),
            ("GET", "/public/status/1", "", ""),
            ("GET", "/public/status/77", "", ""),
            ("GET", "/public/status/x", "", ""),
            ("GET", "/public/nothing", "", ""),
        ],
    )
    def test_they_answer_what_djangos_layers_do(
        self, live_portal, key, client, method, path, content, kind
    ):
        body = json.dumps(body_for(key)) if content == "good" else content
        by_django = client.generic(method, path, body, content_type=kind)
        lines = [f"Content-Length: {len(body)}"] if body else []
        sent = head(method, path, *([f"Content-Type: {kind}"] if kind else []), *lines)
        for _ in range(2):  # the second time from memory, where there is one
            with connect(live_portal) as wire:
                wire.sendall(sent + body.encode())
                status, headers, told = one_answer(wire, has_body=method != "HEAD")
            assert status == by_django.status_code
            django_headers = {n.lower(): v for n, v in by_django.headers.items()}
            own = OWN | ({"etag"} if path.startswith("/public/status/") else set())
            assert without(headers, own) == without(django_headers, own)
            told = told.replace(live_portal.url.encode(), settings.PUBLIC_URL.encode())
            assert same(told) == same(by_django.content if method != "HEAD" else b"")

    def test_an_unchanged_list_is_not_sent_again(self, live_portal, key):
        for path in ("/.well-known/jwks.json", "/public/status/1"):
            _, headers, _ = ask(live_portal, head("GET", path))
            with connect(live_portal) as wire:
                wire.sendall(head("GET", path, f"If-None-Match: {headers['etag']}"))
                assert wire.recv(65_536).startswith(b"HTTP/1.1 304 ")

    def test_static_files_keep_their_headers(self, live_portal):
        [name] = [p.name for p in Path(settings.STATIC_ROOT).glob("app.*.css")]
        status, headers, _ = ask(
            live_portal, head("GET", f"/static/{name}", "Accept-Encoding: gzip")
        )
        assert (status, headers["content-encoding"], headers["vary"]) == (
            200,
            "gzip",
            "Accept-Encoding",
        )
        assert headers["cache-control"] == "max-age=315360000, public, immutable"
        assert headers["x-content-type-options"] == "nosniff"


def without(headers: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def same(body: bytes) -> Any:
    """Return an answer without what differs from request to request."""
    if not body.startswith(b"{"):
        return body[:0]  # a signed list: its times and signature differ
    told = json.loads(body)
    return {n: v for n, v in told.items() if n not in {"request_id", "checked_at"}}


class TestDownloads:
    def test_an_export_is_written_whole_and_the_same(self, live_portal, owner_client, contoso):
        with transaction.atomic():
            for _ in range(300):
                action = Action.SUBSCRIPTION_RENAMED
                entries.record(actor=SYSTEM, action=action, tenant_id=contoso.pk, reason="x" * 400)
        session = owner_client.cookies[settings.SESSION_COOKIE_NAME].value
        by_django = b"".join(owner_client.get("/logs/export/").streaming_content)
        cookie = f"Cookie: {settings.SESSION_COOKIE_NAME}={session}"
        with connect(live_portal) as wire:
            wire.sendall(head("GET", "/logs/export/", cookie, "Connection: close"))
            found = to_the_end(wire)
        assert found.startswith(b"HTTP/1.1 200 ")
        assert dechunked(found.partition(b"\r\n\r\n")[2]) == by_django


def dechunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(rest[:length])
        body = rest[length + 2 :] if length else b""
    return b"".join(parts)
