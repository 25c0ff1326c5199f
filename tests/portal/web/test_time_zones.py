"""Pages show times in the reader's zone; what programs read stays in UTC."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core import dates
from portal.core.dates import zone_names
from portal.web import time_zones
from portal.web.tags import moment
from tests.support.accounts import sign_in

WINTER, SUMMER = datetime(2026, 1, 31, 23, 5, 9, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "shown"),
    [
        ("UTC", WINTER, "31 Jan 2026, 23:05 UTC"),
        ("Europe/Berlin", WINTER, "1 Feb 2026, 00:05 UTC+1"),
        ("Europe/Berlin", SUMMER, "1 Jul 2026, 14:00 UTC+2"),
        ("America/St_Johns", WINTER, "31 Jan 2026, 19:35 UTC−3:30"),  # noqa: RUF001
        ("Asia/Calcutta", SUMMER, "1 Jul 2026, 17:30 UTC+5:30"),
        ("Europe/London", WINTER, "31 Jan 2026, 23:05 UTC"),
        # The night in which clocks go back has two hours of one name.
        ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25 Oct 2026, 02:30 UTC+2"),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25 Oct 2026, 02:30 UTC+1"),
        ("Pacific/Kiritimati", datetime(9998, 12, 31, 23, tzinfo=UTC), "1 Jan 9999, 13:00 UTC+14"),
    ],
)
def test_a_moment_is_in_the_active_zone_with_its_offset(zone, at, shown):
    with timezone.override(zone):
        assert f">{shown}</time>" in moment(at, clock=True)
        assert f">{shown.partition(',')[0]}</time>" in moment(at)


def test_the_title_and_the_machine_readable_time_are_in_utc():
    with timezone.override("Asia/Tokyo"):
        tag = moment(WINTER.astimezone(ZoneInfo("Asia/Tokyo")), clock=True)
    assert 'datetime="2026-01-31T23:05:09+00:00"' in tag
    assert 'title="31 Jan 2026, 23:05:09 UTC"' in tag


def test_a_sentence_is_in_the_active_zone_or_in_the_given_one():
    with timezone.override("Asia/Tokyo"):
        assert dates.moment(WINTER) == "1 Feb 2026 at 08:05 UTC+9"
        assert dates.moment(WINTER, UTC) == "31 Jan 2026 at 23:05 UTC"


@pytest.mark.parametrize(
    ("chosen", "cookie", "shown"),
    [
        ("", None, "Times are in UTC"),
        ("", "Asia/Tokyo", "Times are in Asia/Tokyo (UTC+9)"),
        ("America/Sao_Paulo", "Asia/Tokyo", "Times are in America/Sao Paulo (UTC−3)"),  # noqa: RUF001
        ("", "../../etc/passwd", "Times are in UTC"),
        ("Gone/Zone", "Asia/Tokyo", "Times are in Asia/Tokyo (UTC+9)"),
    ],
)
def test_the_profile_decides_then_the_browser_then_utc(chosen, cookie, shown, owner):
    owner.time_zone = chosen
    owner.save(update_fields=["time_zone"])
    client = sign_in(Client(), owner)
    if cookie is not None:
        client.cookies[time_zones.COOKIE] = cookie
    page = client.get(reverse("profile:detail")).content.decode()
    assert shown in " ".join(page.split())
    assert timezone.get_current_timezone_name() == "UTC"


def test_the_admin_stays_in_utc(rf):
    seen = []

    def answer(request: HttpRequest) -> HttpResponse:
        seen.append(timezone.get_current_timezone_name())
        return HttpResponse()

    middleware = time_zones.TimeZoneMiddleware(answer)
    for path in ("/admin/", "/subscriptions/"):
        request = rf.get(path, headers={"Cookie": f"{time_zones.COOKIE}=Asia/Tokyo"})
        request.user = None
        middleware(request)
    assert seen == ["UTC", "Asia/Tokyo"]


def test_the_zone_is_chosen_in_the_profile(owner, owner_client):
    wanted = {"name": owner.name, "time_zone": "Europe/Lisbon"}
    owner_client.post(reverse("profile:detail"), wanted)
    owner.refresh_from_db()
    assert owner.time_zone == "Europe/Lisbon"
    answer = owner_client.post(reverse("profile:detail"), wanted | {"time_zone": "Mars/Olympus"})
    assert answer.status_code == 422
    assert not LogEntry.objects.exclude(action=Action.SIGNED_IN).exists()


def test_days_of_the_log_are_those_of_the_reader(contoso, owner):
    record(actor=owner.as_actor(), action=Action.PERSON_RENAMED, tenant_id=contoso.pk, now=WINTER)
    day = date(2026, 2, 1)
    rows = LogEntry.objects.for_tenant(contoso.pk)
    assert rows.on_days(day, day).count() == 0
    with timezone.override("Europe/Berlin"):
        assert rows.on_days(day, day).count() == 1


def test_every_zone_that_can_be_chosen_is_there_and_every_area_has_some():
    names = [name for _, zones in time_zones.places() for name, _ in zones]
    assert set(names) <= zone_names()
    assert {area for area, _ in time_zones.places()} == time_zones.AREAS
