"""Monitoring asks by address and in plain HTTP, and is answered."""

import json

import pytest

from tests.support.handler import ask

pytestmark = pytest.mark.django_db

TOKEN = "metrics-token-for-prometheus-0123456789"


@pytest.fixture(autouse=True)
def production(settings):
    settings.ALLOWED_HOSTS = ["licenses.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.METRICS_TOKEN = TOKEN


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "licenses.example.com", "[::1]", "evil_host"])
@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready"])
def test_health_is_told_on_any_host_without_a_redirect(path, host):
    status, headers, body = ask(path, host=host)
    assert (status, json.loads(body), headers["Cache-Control"]) == (
        200,
        {"status": "ok"},
        "no-store",
    )


def test_health_is_told_without_a_host():
    assert ask("/healthz/live")[0] == 200


def test_metrics_are_told_on_any_host_with_their_token():
    status, _, body = ask("/metrics", host="10.1.2.3", authorization=f"Bearer {TOKEN}")
    assert (status, body[:22]) == (200, b"# HELP license_portal_")


@pytest.mark.parametrize("path", ["/metrics", "/healthz/", "/healthz/other", "/metrics/"])
def test_whatever_else_is_there_takes_the_ordinary_way(path):
    assert ask(path, host="10.1.2.3")[0] == 400
    status, headers, _ = ask(path, host="licenses.example.com", authorization="Bearer wrong")
    assert (status, headers["Location"]) == (301, f"https://licenses.example.com{path}")


def test_other_methods_are_refused():
    assert ask("/healthz/live", method="POST", host="10.1.2.3")[0] == 405
