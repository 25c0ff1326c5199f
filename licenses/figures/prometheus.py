"""`GET /metrics`: what the processes of this node count, and the vendor's figures.

No tenant is ever a label, so that the metrics reveal nothing about a single customer.
docs/monitoring.md lists all of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client.core import GaugeMetricFamily, Metric

from licenses.figures import snapshot
from licenses.figures.snapshot import Numbers, passed
from licenses.models import SigningKey, SigningKeyState
from portal.mail.models import Heartbeat
from portal.metrics import families, installation
from portal.programs.insiders import has_metrics_token

type Sample = tuple[Mapping[str, object], float]


@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Send the metrics to whoever has the token; everybody else gets a 404."""
    if not has_metrics_token(request):
        raise Http404
    figures = snapshot.current()
    found = [
        *families.families(),
        *installation.families(),
        *business(figures.numbers, figures.taken_at, timezone.now()),
    ]
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(families.text(found), families.CONTENT_TYPE, headers=headers)


def business(numbers: Numbers, taken_at: datetime, now: datetime) -> Iterator[Metric]:
    """Yield the figures that are the same on every node."""
    total: Counter[str] = sum(map(Counter, numbers["checks"].values()), Counter())
    by_hour = list(numbers["checks"].values())
    yield _gauge("figures_timestamp_seconds", "When counted.", [({}, taken_at.timestamp())])
    yield _gauge(
        "subscriptions_active",
        "Active subscriptions.",
        [({"plan": plan["code"]}, plan["count"]) for plan in numbers["active"]],
    )
    yield _gauge("subscriptions_new", "New in 30 days.", [({}, numbers["new"])])
    yield _gauge("subscriptions_ended", "Ended in 30 days.", [({}, numbers["ended"])])
    yield _gauge(
        "license_keys", "License keys.", [({"state": s}, n) for s, n in numbers["keys"].items()]
    )
    yield _gauge(
        "license_keys_expiring",
        "Current license keys that expire in the n-th week from now.",
        [({"week": n}, week["count"]) for n, week in enumerate(numbers["expiring"], start=1)],
    )
    yield _gauge(
        "checks",
        "Checks by terminals in the last 24 hours.",
        [({"result": result}, n) for result, n in sorted(total.items())],
    )
    yield _gauge(
        "checks_by_hour",
        "Checks by terminals in the hour so many hours ago.",
        [
            ({"hours_ago": len(by_hour) - place, "passes": passes}, n)
            for place, checks in enumerate(by_hour, start=1)
            for passes, n in _halves(checks)
        ],
    )
    yield _gauge("mails_pending", "Mails to send.", [({}, numbers["pending_mails"])])
    yield _gauge(
        "mails_oldest_pending_seconds",
        "For how long the oldest has waited.",
        [({}, _waited(numbers["oldest_mail"], now))],
    )
    yield _gauge(
        "webhooks_pending",
        "Events to deliver to webhooks that did not fail.",
        [({}, numbers.get("pending_webhooks", 0))],
    )
    yield _gauge(
        "webhooks_oldest_pending_seconds",
        "For how long the oldest has waited.",
        [({}, _waited(numbers.get("oldest_webhook"), now))],
    )
    yield from _signing_keys(numbers, now)
    yield from _worker(now)


def _waited(since: str | None, now: datetime) -> float:
    """Return the seconds since the moment in ISO 8601, 0 without one."""
    return (now - datetime.fromisoformat(since)).total_seconds() if since else 0


def _worker(now: datetime) -> Iterator[Metric]:
    anchored: list[Sample] = []
    with suppress(OSError):  # Another node may hold the file.
        anchored = [({}, settings.LOG_ANCHORS_FILE.stat().st_mtime)]
    yield _gauge("log_anchor_timestamp_seconds", "When the log was last anchored.", anchored)
    yield _gauge(
        "worker_heartbeat_age_seconds",
        "How long ago the last worker of any node told that it works.",
        [({}, _seconds(now - beat)) for beat in _last_heartbeat()],
    )


def _last_heartbeat() -> list[datetime]:
    beat = Heartbeat.objects.aggregate(last=Max("beat_at"))["last"]
    return [] if beat is None else [beat]


def _signing_keys(numbers: Numbers, now: datetime) -> Iterator[Metric]:
    active = SigningKey.objects.defer("private_key").filter(state=SigningKeyState.ACTIVE).first()
    signed: list[Sample] = []
    ends: list[Sample] = []
    if active is not None:
        signed.append(({}, _seconds(now - (active.activated_at or active.created_at))))
        ends.append(({}, _seconds(active.valid_until - now)))
    yield _gauge("signing_key_age_seconds", "For how long the active one has signed.", signed)
    yield _gauge("signing_key_certificate_seconds", "Until its certificate ends.", ends)
    yield _gauge(
        "signing_keys",
        "Signing keys by state; a passive one newer than the active one is its successor.",
        _by_state(active),
    )
    for name in ("signed", "living"):
        yield _gauge(
            f"signing_key_license_keys_{name}",
            f"License keys of each signing key: {name}.",
            [({"kid": kid}, counted[name]) for kid, counted in numbers["signing_keys"].items()],
        )


def _by_state(active: SigningKey | None) -> list[Sample]:
    keys = SigningKey.objects.values_list("state", "created_at")
    counted = Counter(
        "successor"
        if state == SigningKeyState.PASSIVE and active and created_at > active.created_at
        else state
        for state, created_at in keys
    )
    states = [*SigningKeyState.values, "successor"]
    return [({"state": state}, counted[state]) for state in states]


def _halves(checks: dict[str, int]) -> list[tuple[str, int]]:
    good = passed(checks)
    return [("true", good), ("false", sum(checks.values()) - good)]


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)


def _gauge(name: str, meaning: str, samples: Iterable[Sample]) -> Metric:
    samples = list(samples)
    labels = list(samples[0][0]) if samples else []
    family = GaugeMetricFamily(f"license_portal_{name}", meaning, labels=labels)
    for values, number in samples:
        family.add_metric([str(value) for value in values.values()], number)
    return family
