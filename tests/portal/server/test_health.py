"""Monitoring asks by address and in plain HTTP, and is answered."""

import json
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from portal.server import conditions
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


@pytest.fixture
def is_not_ready(monkeypatch):
    """A disk with less room than the portal wants."""
    monkeypatch.setattr(conditions, "MIN_FREE_BYTES", 2**62)


@pytest.mark.usefixtures("is_not_ready")
@pytest.mark.parametrize(
    ("peer", "headers", "is_told"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("203.0.113.7", {"authorization": f"Bearer {TOKEN}"}, True),
        ("203.0.113.7", {}, False),
        ("203.0.113.7", {"authorization": "Bearer wrong"}, False),
        *(("127.0.0.1", {name: "203.0.113.7"}, False) for name in ("x_forwarded_for", "forwarded")),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
    ],
)
def test_insiders_alone_read_why_a_node_is_not_ready(peer, headers, is_told):
    status, told, body = ask("/healthz/ready", peer=peer, **headers)
    answer = json.loads(body)
    reasons = answer.pop("reasons", [])
    assert (status, told["Retry-After"], answer) == (503, "5", {"status": "not ready"})
    assert [reason.startswith("The disk of DATA_DIR has ") for reason in reasons[:1]] == (
        [True] if is_told else []
    )


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_was_not_applied_is_a_reason():
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("portal", "0011_worker_heartbeats")
    [sentence] = conditions.why_not_ready()
    assert sentence.endswith("the first is portal.0011_worker_heartbeats: run `manage.py migrate`.")
    recorder.record_applied("portal", "0011_worker_heartbeats")
    assert [*conditions.why_not_ready()] == []


@pytest.mark.parametrize(
    ("ahead", "sentences"),
    [
        (None, []),
        (60.0, []),
        (-60.0, []),
        (75.2, ["The clock of this machine is 75 s ahead of the database's: set both by NTP."]),
        (-75.2, ["The clock of this machine is 75 s behind the database's: set both by NTP."]),
    ],
)
def test_a_clock_may_differ_from_the_databases_by_a_minute(ahead, sentences):
    assert [*conditions.wrong_clock(ahead)] == sentences


@pytest.mark.database
@pytest.mark.postgres
def test_the_clock_is_compared_with_the_databases():
    assert abs(conditions.seconds_ahead()) < 5
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        assert 290 < conditions.seconds_ahead() < 310
        assert ask("/healthz/ready")[0] == 503
    assert ask("/healthz/ready")[0] == 200
