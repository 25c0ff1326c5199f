"""The vendor's figures: counted at most once a minute, stored, and read by whatever shows them.

The worker counts them (`refresh`); if it does not run, the first reader after a minute does.
No figure is about a single tenant. All counts read indexes made for them; past hours are
copied from the previous figures, since their checks no longer change.
"""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NotRequired, TypedDict

from django.core.cache import cache
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils import timezone

from licenses.checking.results import PASSING
from licenses.models import CheckCount, Figures, KeyState, LicenseKey, SigningKey, SigningKeyState
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.mail.models import Outbox
from portal.webhooks.models import Delivery
from subscriptions.models import Plan, State, Subscription

MAX_AGE = timedelta(minutes=1)
RECENT = timedelta(days=30)
WEEKS = 12
HOURS = 24
STILL_WRITTEN = timedelta(hours=2)
"""How long after its start an hour's checks may change: they are written in batches."""

NOT_DELETED = [KeyState.CURRENT, KeyState.SUPERSEDED, KeyState.REPLACED]
LOCK = "figures.counting"

KEY_STATES = {
    "valid": "Valid",
    "superseded": "Overlap",
    "expired": "Expired",
    "revoked": "Revoked",
    "replaced": "Replaced",
    "deleted": "Deleted",
    "withdrawn": "Signing key disabled",
}
"""The states of license keys, including revocation, expiry and a disabled signing key."""


class PlanFigure(TypedDict):
    """Active subscriptions of one plan."""

    id: int
    code: str
    name: str
    count: int


class WeekFigure(TypedDict):
    """Current license keys that expire in one week, from `start` to before `end`."""

    start: str
    end: str
    count: int


class SigningKeyFigure(TypedDict):
    """License keys that one signing key has signed, and how many of them checks accept.

    The second has kept the name under which it is stored and scraped.
    """

    signed: int
    living: int


class Numbers(TypedDict):
    """All figures as they are stored; times are ISO 8601, in UTC."""

    active: list[PlanFigure]
    new: int
    ended: int
    keys: dict[str, int]
    expiring: list[WeekFigure]
    expiring_soon: NotRequired[int]
    checks: dict[str, dict[str, int]]
    pending_mails: int
    oldest_mail: str | None
    pending_webhooks: NotRequired[int]
    oldest_webhook: NotRequired[str | None]
    signing_keys: dict[str, SigningKeyFigure]


def current(*, now: datetime | None = None) -> Figures:
    """Return the figures, at most about a minute old; only one process counts at a time."""
    now = now or timezone.now()
    figures = Figures.objects.first()
    if figures is not None and now - figures.taken_at < MAX_AGE:
        return figures
    if figures is not None and not cache.add(LOCK, 1, timeout=int(MAX_AGE.total_seconds())):
        return figures
    try:
        return refresh(now=now)
    finally:
        cache.delete(LOCK)


def refresh(*, now: datetime | None = None) -> Figures:
    """Count everything, and store and return the result."""
    now = now or timezone.now()
    numbers = count(now=now, known=_final(Figures.objects.first()))
    figures, _ = Figures.objects.update_or_create(
        pk=1, defaults={"numbers": numbers, "taken_at": now}
    )
    return figures


def count(*, now: datetime, known: dict[str, dict[str, int]] | None = None) -> Numbers:
    """Return the numbers as of `now`; `known` are the checks of past hours."""
    by_signing_key = _by_signing_key(now)
    waiting = Outbox.objects.waiting().aggregate(n=Count("pk"), at=Min("created_at"))
    webhooks = Delivery.objects.held_up().aggregate(n=Count("pk"), at=Min("created_at"))
    return {
        "active": _active(now),
        "new": Subscription.objects.filter(created_at__gt=now - RECENT).count(),
        "ended": _ended(now),
        "keys": _keys(by_signing_key),
        "expiring": _expiring(now),
        "expiring_soon": LicenseKey.objects.expiring(now).count(),
        "checks": _checks(now, known or {}),
        "pending_mails": waiting["n"],
        "oldest_mail": waiting["at"].isoformat() if waiting["at"] else None,
        "pending_webhooks": webhooks["n"],
        "oldest_webhook": webhooks["at"].isoformat() if webhooks["at"] else None,
        "signing_keys": {
            kid: {
                "signed": counted.total(),
                "living": counted["valid"] + counted["superseded"],
            }
            for kid, counted in by_signing_key.items()
        },
    }


def _active(now: datetime) -> list[PlanFigure]:
    active = Subscription.objects.filter(state=State.ACTIVE)
    found: list[PlanFigure] = [
        {
            "id": plan.pk,
            "code": plan.code,
            "name": plan.name,
            "count": active.filter(plan=plan, ends_at=None).count()
            + active.filter(plan=plan, ends_at__gt=now).count(),
        }
        for plan in Plan.objects.all()
    ]
    shown = [plan for plan in found if plan["count"]]
    return sorted(shown, key=lambda plan: (-plan["count"], plan["code"]))


def _ended(now: datetime) -> int:
    """Count the subscriptions that ended recently, by their end date or by an operator."""
    by_date = Q(ends_at__gt=now - RECENT, ends_at__lte=now)
    changes = LogEntry.objects.filter(
        action=Action.SUBSCRIPTION_CHANGED,
        at__gt=now - RECENT,
        details__after__state=State.ENDED.value,
    )
    by_operator = Subscription.objects.filter(
        state=State.ENDED, pk__in=changes.values("subscription_id")
    ).exclude(by_date)
    return Subscription.objects.filter(by_date).count() + by_operator.count()


def _by_signing_key(now: datetime) -> dict[str, Counter[str]]:
    """Return license keys by state (KEY_STATES) for each signing key.

    Each is a range of one index; one statement with a CASE over all rows would take ten times
    as long.
    """
    whole = LicenseKey.objects.filter(revoked_at=None)
    current = whole.filter(state=KeyState.CURRENT)
    old = whole.filter(state=KeyState.SUPERSEDED)
    found: dict[str, QuerySet[LicenseKey]] = {
        "valid": current.filter(expires_at__gt=now),
        "superseded": old.filter(accepted_until__gt=now),
        "expired": current.filter(expires_at__lte=now),
        "revoked": LicenseKey.objects.filter(state__in=NOT_DELETED, revoked_at__isnull=False),
        "replaced": whole.filter(state=KeyState.REPLACED),
        "overlap over": old.filter(accepted_until__lte=now),
        "deleted": LicenseKey.objects.filter(state=KeyState.DELETED),
    }
    by_kid = {}
    for pk, kid, state in SigningKey.objects.values_list("pk", "kid", "state"):
        counted = Counter(
            {word: rows.filter(signing_key=pk).count() for word, rows in found.items()}
        )
        counted["replaced"] += counted.pop("overlap over")
        if state == SigningKeyState.DISABLED:
            counted["withdrawn"] = counted.pop("valid") + counted.pop("superseded")
        by_kid[kid] = counted
    return by_kid


def _keys(by_signing_key: dict[str, Counter[str]]) -> dict[str, int]:
    total: Counter[str] = sum(by_signing_key.values(), Counter())
    return {state: total[state] for state in KEY_STATES}


def _expiring(now: datetime) -> list[WeekFigure]:
    bounds = [now + timedelta(weeks=week) for week in range(WEEKS + 1)]
    current = LicenseKey.objects.current().filter(revoked_at=None)
    return [
        {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "count": current.filter(expires_at__gt=start, expires_at__lte=end).count(),
        }
        for start, end in pairwise(bounds)
    ]


def hours(now: datetime) -> list[datetime]:
    """Return when the last HOURS hours began, the oldest first, the present one last."""
    present = now.replace(minute=0, second=0, microsecond=0)
    return [present - timedelta(hours=ago) for ago in reversed(range(HOURS))]


def _checks(now: datetime, known: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Return the checks of each hour by result."""
    names = {hour.isoformat(): hour for hour in hours(now)}
    return {name: known.get(name) or _in_hour(hour) for name, hour in names.items()}


def _final(before: Figures | None) -> dict[str, dict[str, int]]:
    """Return the checks of the hours that were over when they were counted."""
    if before is None:
        return {}
    return {
        hour: checks
        for hour, checks in before.numbers["checks"].items()
        if before.taken_at - datetime.fromisoformat(hour) >= STILL_WRITTEN
    }


def _in_hour(hour: datetime) -> dict[str, int]:
    rows: QuerySet[CheckCount, Any] = CheckCount.objects.filter(hour=hour).order_by()
    return {row["result"]: row["n"] for row in rows.values("result").annotate(n=Sum("count"))}


def passed(checks: dict[str, int]) -> int:
    """Return how many of an hour's checks passed."""
    return sum(checks.get(result.value, 0) for result in PASSING)
