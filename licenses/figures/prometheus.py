"""`GET /metrics`: the vendor's figures in the text format of Prometheus, version 0.0.4.

No tenant is ever a label, so that the metrics reveal nothing about a single customer.
"""

import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from licenses.figures import snapshot
from licenses.figures.snapshot import Numbers, passed
from licenses.models import SigningKey, SigningKeyState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

type Sample = tuple[Mapping[str, object], float]


@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Send the metrics to whoever has the token; everybody else gets a 404."""
    if not _has_token(request):
        raise Http404
    figures = snapshot.current()
    text = "".join(_lines(figures.numbers, figures.taken_at, timezone.now()))
    return HttpResponse(text, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _has_token(request: HttpRequest) -> bool:
    """Return whether the bearer token is METRICS_TOKEN, compared in constant time (RFC 6750)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    same = hmac.compare_digest(given.strip().encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and same


def _lines(numbers: Numbers, taken_at: datetime, now: datetime) -> Iterator[str]:
    total: Counter[str] = sum(map(Counter, numbers["checks"].values()), Counter())
    by_hour = list(numbers["checks"].values())
    oldest = numbers["oldest_mail"]
    waited = (now - datetime.fromisoformat(oldest)).total_seconds() if oldest else 0
    yield from _gauge("figures_timestamp_seconds", "When counted.", [({}, taken_at.timestamp())])
    yield from _gauge(
        "subscriptions_active",
        "Active subscriptions.",
        [({"plan": plan["code"]}, plan["count"]) for plan in numbers["active"]],
    )
    yield from _gauge("subscriptions_new", "New in 30 days.", [({}, numbers["new"])])
    yield from _gauge("subscriptions_ended", "Ended in 30 days.", [({}, numbers["ended"])])
    yield from _gauge(
        "license_keys", "License keys.", [({"state": s}, n) for s, n in numbers["keys"].items()]
    )
    yield from _gauge(
        "license_keys_expiring",
        "Current license keys that expire in the n-th week from now.",
        [({"week": n}, week["count"]) for n, week in enumerate(numbers["expiring"], start=1)],
    )
    yield from _gauge(
        "checks",
        "Checks by terminals in the last 24 hours.",
        [({"result": result}, n) for result, n in sorted(total.items())],
    )
    yield from _gauge(
        "checks_by_hour",
        "Checks by terminals in the hour so many hours ago.",
        [
            ({"hours_ago": len(by_hour) - place, "passes": passes}, n)
            for place, checks in enumerate(by_hour, start=1)
            for passes, n in _halves(checks)
        ],
    )
    yield from _gauge("mails_pending", "Mails to send.", [({}, numbers["pending_mails"])])
    yield from _gauge(
        "mails_oldest_pending_seconds", "For how long the oldest has waited.", [({}, waited)]
    )
    yield from _signing_keys(numbers, now)


def _signing_keys(numbers: Numbers, now: datetime) -> Iterator[str]:
    active = SigningKey.objects.defer("private_key").filter(state=SigningKeyState.ACTIVE).first()
    signed: list[Sample] = []
    ends: list[Sample] = []
    if active is not None:
        signed.append(({}, _seconds(now - (active.activated_at or active.created_at))))
        ends.append(({}, _seconds(active.valid_until - now)))
    yield from _gauge("signing_key_age_seconds", "For how long the active one has signed.", signed)
    yield from _gauge("signing_key_certificate_seconds", "Until its certificate ends.", ends)
    for name in ("signed", "living"):
        yield from _gauge(
            f"signing_key_license_keys_{name}",
            f"License keys of each signing key: {name}.",
            [({"kid": kid}, counted[name]) for kid, counted in numbers["signing_keys"].items()],
        )


def _halves(checks: dict[str, int]) -> list[tuple[str, int]]:
    good = passed(checks)
    return [("true", good), ("false", sum(checks.values()) - good)]


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)


def _gauge(name: str, help_text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Return one metric; label values are ours (codes, states, key ids) and need no escaping."""
    full = f"license_portal_{name}"
    yield f"# HELP {full} {help_text}\n# TYPE {full} gauge\n"
    for labels, value in samples:
        inner = ",".join(f'{label}="{given}"' for label, given in labels.items())
        yield f"{full}{{{inner}}} {value}\n" if inner else f"{full} {value}\n"
