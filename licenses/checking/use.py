"""How much terminals use license keys: their checks by day, read from the counts."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db.models import CharField, Max, Q, Sum
from django.db.models.functions import Cast, Substr
from django.utils.timesince import timesince

from licenses.checking.results import PASSING
from licenses.models import CheckCount, LicenseKey

DAYS = 30
"""Days that are read, today included; a day is one of UTC."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """Checks of one key by terminals over the last DAYS days, as anyone who holds it made them."""

    passed: dict[date, int] = field(default_factory=dict)
    refused: dict[date, int] = field(default_factory=dict)
    last_at: datetime | None = None

    @property
    def total_passed(self) -> int:
        """All checks that passed."""
        return sum(self.passed.values())

    @property
    def total_refused(self) -> int:
        """All checks that were refused."""
        return sum(self.refused.values())

    def sentence(self, now: datetime) -> str:
        """Return such as "checked 42 times today, last 3 minutes ago", or "" without a check."""
        if self.last_at is None:
            return ""
        today = now.astimezone(UTC).date()
        count = self.passed.get(today, 0) + self.refused.get(today, 0)
        period = "today"
        if not count:
            count, period = self.total_passed + self.total_refused, f"in {DAYS} days"
        times = "once" if count == 1 else f"{count:,} times"
        return f"checked {times} {period}, last {ago(self.last_at, now)}"


NO_USE = Use()


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago a moment was, in its largest unit: "3 minutes ago"."""
    if now - at < timedelta(minutes=1):
        return "less than a minute ago"
    return timesince(at, now, depth=1).replace("\xa0", " ") + " ago"


def days(now: datetime) -> list[date]:
    """Return the days that are read, the oldest first."""
    today = now.astimezone(UTC).date()
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


def read_use(keys: Collection[LicenseKey], now: datetime) -> dict[int, Use]:
    """Return the use of each key by its primary key, in one query; unused keys are left out.

    The unique index on key, hour and result serves it.
    """
    first = days(now)[0]
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    rows = (
        CheckCount.objects.filter(license_key__in=[key.pk for key in keys], hour__gte=since)
        # Cheaper than a truncated time, which SQLite asks Python for, row by row.
        .annotate(day=Substr(Cast("hour", CharField()), 1, 10))
        .values("license_key_id", "day")
        .annotate(
            passing=Sum("count", filter=Q(result__in=PASSING), default=0),
            failing=Sum("count", filter=~Q(result__in=PASSING), default=0),
            newest=Max("last_at"),
        )
        .order_by("license_key_id", "day")
        .values_list("license_key_id", "day", "passing", "failing", "newest")
    )
    found: dict[int, Use] = {}
    for key, text, passing, failing, newest in rows:
        day, before = date.fromisoformat(text), found.get(key, NO_USE)
        found[key] = Use(
            passed=before.passed | ({day: passing} if passing else {}),
            refused=before.refused | ({day: failing} if failing else {}),
            last_at=max(before.last_at or newest, newest),
        )
    return found
