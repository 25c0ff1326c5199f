"""HTTPS as a trusted proxy reports it, alike for people and for programs; HSTS from every layer."""

import ipaddress

import pytest

from tests.support.handler import ask

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
