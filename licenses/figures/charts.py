"""The figures as charts for operators: bars and columns, each with its number and a link."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import count as powers
from typing import Any

from django.utils import timezone

from licenses.checking.results import Result
from licenses.figures import snapshot
from licenses.figures.needs import Need, needs
from licenses.figures.snapshot import KEY_STATES, RECENT, Numbers, hours, passed
from licenses.models import SigningKey, SigningKeyState
from portal.operators.model_admin import listing

HEIGHT = 100
"""Height of a column chart in units of its own; columns are whole units high."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a bar chart; `percent` is relative to the widest one."""

    label: str
    count: int
    address: str
    percent: int


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a chart over time: what passed at the bottom, what was refused on top."""

    start: datetime
    x: int
    count: int
    refused: int
    address: str
    top: int
    height: int
    refused_top: int
    refused_height: int


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A chart over time, with a sentence that describes it to screen readers."""

    columns: list[Column]
    width: int
    ticks: list[int]
    """Values of the axis from the top: its end, its middle, 0."""
    sentence: str

    @property
    def middle(self) -> Column:
        """The column in the middle, whose time the axis names."""
        return self.columns[len(self.columns) // 2]


@dataclass(frozen=True, kw_only=True)
class StartPage:
    """The contents of the admin's start page."""

    taken_at: datetime
    active: list[Bar]
    active_total: int
    new: int
    new_address: str
    ended: int
    ended_address: str
    keys: list[Bar]
    expiring: Columns
    checks: Columns
    results: list[Bar]
    pending_mails: int
    oldest_mail: datetime | None
    mails_address: str
    signing_key: SigningKey | None
    signing_key_days: int
    expiring_soon: int
    expiring_address: str
    checked: int
    refused: int
    refused_address: str
    checks_address: str
    active_address: str
    needs: list[Need]


def start_page() -> StartPage:
    """Return the start page: the stored figures, and of what needs somebody a few rows."""
    figures = snapshot.current()
    now, numbers = figures.taken_at, figures.numbers
    active = SigningKey.objects.defer("private_key").filter(state=SigningKeyState.ACTIVE).first()
    since = active.activated_at if active else None
    oldest, hours_ = numbers["oldest_mail"], numbers["checks"]
    since_hour = _iso(hours(now)[0])
    return StartPage(
        taken_at=now,
        active=_active(numbers),
        active_total=sum(plan["count"] for plan in numbers["active"]),
        new=numbers["new"],
        new_address=_subscriptions(created_at__gt=_iso(now - RECENT)),
        ended=numbers["ended"],
        ended_address=_subscriptions(effective_state="ended"),
        keys=_keys(numbers),
        expiring=_expiring(numbers),
        checks=_checks(numbers),
        results=_results(numbers, now),
        pending_mails=numbers["pending_mails"],
        oldest_mail=datetime.fromisoformat(oldest) if oldest else None,
        mails_address=listing("portal_outbox", state="waiting"),
        signing_key=active,
        signing_key_days=(timezone.now() - since).days if since else 0,
        expiring_soon=numbers.get("expiring_soon", 0),
        expiring_address=listing("licenses_licensekey", needs="expiring"),
        checked=sum(sum(checks.values()) for checks in hours_.values()),
        refused=sum(sum(checks.values()) - passed(checks) for checks in hours_.values()),
        refused_address=listing("licenses_checkcount", hour__gte=since_hour, result="refused"),
        checks_address=listing("licenses_checkcount", hour__gte=since_hour),
        active_address=_subscriptions(effective_state="active"),
        needs=needs(active, timezone.now()),
    )


def _active(numbers: Numbers) -> list[Bar]:
    return _bars(
        (
            plan["name"],
            plan["count"],
            _subscriptions(effective_state="active", plan__id__exact=plan["id"]),
        )
        for plan in numbers["active"]
    )


def _keys(numbers: Numbers) -> list[Bar]:
    return _bars(
        (label, numbers["keys"][state], listing("licenses_licensekey", needs=state))
        for state, label in KEY_STATES.items()
        if state != "withdrawn" or numbers["keys"][state]
    )


def _expiring(numbers: Numbers) -> Columns:
    weeks = [
        (
            datetime.fromisoformat(week["start"]),
            week["count"],
            0,
            listing(
                "licenses_licensekey",
                needs="current",
                expires_at__gt=week["start"],
                expires_at__lte=week["end"],
            ),
        )
        for week in numbers["expiring"]
    ]
    total = sum(count for _, count, _, _ in weeks)
    return columns(weeks, f"{total} current license keys expire in the next {len(weeks)} weeks.")


def _checks(numbers: Numbers) -> Columns:
    by_hour = [
        (
            datetime.fromisoformat(hour),
            sum(checks.values()),
            sum(checks.values()) - passed(checks),
            listing("licenses_checkcount", hour__exact=hour),
        )
        for hour, checks in numbers["checks"].items()
    ]
    total = sum(count for _, count, _, _ in by_hour)
    refused = sum(count for _, _, count, _ in by_hour)
    return columns(
        by_hour, f"{total:,} checks in the last {len(by_hour)} hours, {refused:,} of them refused."
    )


def _results(numbers: Numbers, now: datetime) -> list[Bar]:
    total: Counter[str] = sum(map(Counter, numbers["checks"].values()), Counter())
    since = _iso(hours(now)[0])
    return _bars(
        (
            str(Result(result).label),
            count,
            listing("licenses_checkcount", result=result, hour__gte=since),
        )
        for result, count in total.most_common()
    )


def _bars(rows: Any) -> list[Bar]:
    """Return a bar for each (label, count, address)."""
    rows = list(rows)
    widest = max((count for _, count, _ in rows), default=0)
    return [
        Bar(label=label, count=count, address=address, percent=_share(count, widest, 100))
        for label, count, address in rows
    ]


def columns(rows: list[tuple[datetime, int, int, str]], sentence: str) -> Columns:
    """Return a column for each (start, count, number of refused, address)."""
    highest = _round(max((count for _, count, _, _ in rows), default=0))
    made = []
    for place, (start, count, refused, address) in enumerate(rows):
        whole = _share(count, highest, HEIGHT)
        upper = _share(refused, highest, HEIGHT)
        made.append(
            Column(
                start=start,
                x=place * 10 + 1,
                count=count,
                refused=refused,
                address=address,
                top=HEIGHT - whole + upper,
                height=whole - upper,
                refused_top=HEIGHT - whole,
                refused_height=upper,
            )
        )
    return Columns(
        columns=made,
        width=len(rows) * 10,
        ticks=[highest, highest // 2, 0],
        sentence=sentence,
    )


def _round(highest: int) -> int:
    """Return the end of an axis: an even number, so that the middle is whole too."""
    ends = (
        digits * 10**power
        for power in powers()
        for digits in (2, 4, 6, 8, 10, 12, 16, 20, 30, 40, 50, 60, 80)
    )
    return next(end for end in ends if end >= highest)


def _share(count: int, of: int, units: int) -> int:
    """Return the size of a count in whole units; at least one unless the count is 0."""
    return max(round(units * count / of), 1) if count and of else 0


def _subscriptions(**parameters: Any) -> str:
    return listing("subscriptions_subscription", **parameters)


def _iso(moment: datetime) -> str:
    return moment.isoformat()
