"""HTTPS as a trusted proxy reports it, alike for people and for programs; HSTS from every layer."""

import ipaddress
import json

import pytest

from tests.support.factories import make_license
from tests.support.handler import ask
from tests.support.terminals import body_for
from tests.support.wire import connect, head, one_answer

pytestmark = pytest.mark.django_db

WAYS = {"people": "/accounts/login/", "programs": "/.well-known/jwks.json"}
HSTS = "max-age=31536000; includeSubDomains"


@pytest.fixture(autouse=True)
def behind_https(settings):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True


@pytest.mark.parametrize("path", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_trusted_proxy_is_believed(path, peer, signing_key):
    status, headers, _ = ask(path, peer=peer, host="localhost", x_forwarded_proto="https")
    assert (status, headers.get_all("Strict-Transport-Security")) == (200, [HSTS])


@pytest.mark.parametrize("path", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", ["x_forwarded_proto", "portal.forwarded_scheme"])
def test_nobody_else_is(path, name):
    status, headers, _ = ask(path, host="localhost", **{name: "https"})
    assert (status in {301, 308}, headers["Location"], headers["Strict-Transport-Security"]) == (
        True,
        f"https://localhost{path}",
        None,
    )


@pytest.mark.parametrize(
    "path", [*WAYS.values(), "/nothing", "/public/nothing", "/healthz/live", "/static/app.css"]
)
def test_hsts_is_the_same_from_every_layer(path, settings, signing_key):
    settings.SECURE_HSTS_PRELOAD = True
    _, headers, _ = ask(path, peer="10.0.0.1", host="localhost", x_forwarded_proto="https")
    assert headers.get_all("Strict-Transport-Security") == [f"{HSTS}; preload"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "seconds",
    [2, pytest.param(0, marks=pytest.mark.sweep)],
    ids=["checks on the loop", "checks in threads"],
)
def test_the_server_believes_the_same_proxies_on_every_way(another_portal, signing_key, seconds):
    portal = another_portal(
        PUBLIC_URL="https://localhost",
        TRUSTED_PROXIES="127.0.0.0/8",
        CHECK_COUNT_SECONDS=str(seconds),
    )
    body = json.dumps(body_for(make_license(signing_key=signing_key).keys.get(slot="primary")))
    lines = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    too_large = ["Content-Type: application/json", "Content-Length: 99999999", "Connection: close"]
    ways = [
        ("POST", "/public/checklicense", lines, body, 200),
        ("POST", "/public/checklicense", lines, body, 200),  # remembered
        ("POST", "/public/checklicense", lines, "x" * len(body), 400),
        ("POST", "/public/checklicense", too_large, "", 413),
        ("GET", "/.well-known/jwks.json", [], "", 200),
        ("GET", "/.well-known/jwks.json", [], "", 200),  # from memory
        ("GET", "/accounts/login/", [], "", 200),
        ("GET", "/healthz/live", [], "", 200),
    ]
    for method, path, more, sent, expected in ways:
        for proto in ("https", "http"):
            with connect(portal) as wire:
                wire.sendall(head(method, path, *more, f"X-Forwarded-Proto: {proto}"))
                wire.sendall(sent.encode())
                status, headers, _ = one_answer(wire)
            assert len(headers["x-request-id"]) == 16
            if proto == "https":
                told = (status, headers.get("strict-transport-security"))
                assert told == (expected, HSTS), path
            else:
                assert "strict-transport-security" not in headers
                led = path.startswith("/healthz/") or expected == 413
                assert headers.get("location") == (None if led else f"https://localhost{path}")
