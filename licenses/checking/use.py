"""How much terminals use license keys: their checks by day, read from the counts."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db import connection
from django.utils.timesince import timesince

from licenses.checking.results import PASSING, Result
from licenses.models import LicenseKey

DAYS = 30
"""Days that are read, today included; a day is one of UTC."""


# A day is cut out of the hour as text: SQLite asks Python for truncated times, row by row.
_READ = """
SELECT license_key_id, substr(CAST(hour AS text), 1, 10), result, sum(count), max(last_at)
FROM licenses_checkcount
WHERE license_key_id IN ({keys}) AND hour >= %s
GROUP BY 1, 2, 3
UNION ALL
SELECT license_key.id, NULL, last_check.result, 0, last_check.last_at
FROM licenses_licensekey AS license_key
JOIN licenses_checkcount AS last_check ON last_check.id = (
    SELECT id FROM licenses_checkcount
    WHERE license_key_id = license_key.id ORDER BY hour DESC, last_at DESC LIMIT 1
)
WHERE license_key.id IN ({keys})
"""


@dataclass(kw_only=True)
class Refusals:
    """Checks that were refused with one result: how many over the last DAYS days, and the last."""

    count: int = 0
    last_at: datetime | None = None

    def add(self, count: int, last_at: datetime) -> None:
        """Add those of a day."""
        self.count += count
        self.last_at = max(last_at, self.last_at or last_at)


@dataclass(kw_only=True)
class Use:
    """Checks of one key by terminals, by day over the last DAYS days, and the last one ever.

    They are as reported by anyone who holds the key.
    """

    passed: Counter[date] = field(default_factory=Counter)
    refused: Counter[date] = field(default_factory=Counter)
    refused_as: dict[Result, Refusals] = field(default_factory=dict)
    last_at: datetime | None = None
    last_result: Result | None = None

    @property
    def total_passed(self) -> int:
        """All checks that passed."""
        return self.passed.total()

    @property
    def total_refused(self) -> int:
        """All checks that were refused."""
        return self.refused.total()

    def sentence(self, now: datetime) -> str:
        """Return such as "checked 42 times today, last 3 minutes ago".

        It is "" if there was none in DAYS days.
        """
        today = now.astimezone(UTC).date()
        count, period = self.passed[today] + self.refused[today], "today"
        if not count:
            count, period = self.total_passed + self.total_refused, f"in {DAYS} days"
        if self.last_at is None or not count:
            return ""
        times = "once" if count == 1 else f"{count:,} times"
        return f"checked {times} {period}, last {ago(self.last_at, now)}"


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
    """Return the use of each key by its primary key; keys that were never checked are left out.

    One statement in plain SQL: the page of a subscription is read often, and the ORM takes longer
    to write it than the database to run it. The unique index on key, hour and result serves it.
    """
    if not keys:
        return {}
    first, found = days(now)[0], dict[int, Use]()
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    marks = ", ".join(["%s"] * len(keys))
    ids = [key.pk for key in keys]
    with connection.cursor() as cursor:
        cursor.execute(
            _READ.format(keys=marks),
            [*ids, connection.ops.adapt_datetimefield_value(since), *ids],
        )
        rows = cursor.fetchall()
    for key, day, result, count, last_at in rows:
        use = found.setdefault(key, Use())
        if not day:
            use.last_at, use.last_result = _aware(last_at), Result(result)
        else:
            counts = use.passed if result in PASSING else use.refused
            counts[date.fromisoformat(day)] += count
            if result not in PASSING:
                use.refused_as.setdefault(Result(result), Refusals()).add(count, _aware(last_at))
    return found


def _aware(at: datetime | str) -> datetime:
    """Return what the database gave as a moment: SQLite has text, in UTC."""
    return at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC)
