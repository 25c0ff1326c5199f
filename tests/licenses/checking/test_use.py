"""How much terminals use keys: one statement over the counts, on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest

from licenses.checking.results import Result
from licenses.checking.use import Refusals, Use, ago, days, read_use
from licenses.models import CheckCount, LicenseKey
from tests.support.factories import make_license

NOW = datetime(2026, 6, 30, 12, 3, tzinfo=UTC)


def count(key: LicenseKey, at: datetime, result: str, checks: int) -> None:
    hour = at.replace(minute=0, second=0, microsecond=0)
    CheckCount.objects.create(
        tenant=key.tenant, license_key=key, hour=hour, result=result, count=checks, last_at=at
    )


@pytest.mark.database
@pytest.mark.django_db
def test_checks_are_read_by_day_in_one_query(signing_key, django_assert_num_queries):
    first, second = make_license().keys.order_by("slot")
    count(first, NOW - timedelta(hours=9), "valid", 4)
    count(first, NOW - timedelta(hours=1), "superseded", 2)
    count(first, NOW - timedelta(minutes=3), "expired", 1)
    count(first, NOW - timedelta(days=29, hours=12), "valid", 8)
    count(first, NOW - timedelta(days=29, hours=13), "valid", 16)
    count(second, NOW - timedelta(days=99), "deleted", 32)
    with django_assert_num_queries(1):
        found = read_use([first, second], NOW)
    assert found == {
        first.pk: Use(
            passed={date(2026, 6, 30): 6, date(2026, 6, 1): 8},
            refused={date(2026, 6, 30): 1},
            refused_as={Result.EXPIRED: Refusals(count=1, last_at=NOW - timedelta(minutes=3))},
            last_at=NOW - timedelta(minutes=3),
            last_result=Result.EXPIRED,
        ),
        second.pk: Use(last_at=NOW - timedelta(days=99), last_result=Result.DELETED),
    }
    assert found[first.pk].sentence(NOW) == "checked 7 times today, last 3 minutes ago"
    assert found[second.pk].sentence(NOW) == ""
    tomorrow = NOW + timedelta(days=1)
    later = read_use([first], tomorrow)[first.pk]
    assert later.sentence(tomorrow) == "checked 7 times in 30 days, last 1 day ago"


def test_thirty_days_end_today():
    assert (days(NOW)[0], days(NOW)[-1], len(days(NOW))) == (date(2026, 6, 1), NOW.date(), 30)


def test_what_was_just_now_is_no_number_of_minutes():
    assert ago(NOW - timedelta(seconds=59), NOW) == "less than a minute ago"
    assert ago(NOW - timedelta(hours=2, minutes=5), NOW) == "2 hours ago"
