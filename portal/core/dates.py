"""Moments as people read and write them: read in the active zone, which is UTC but for pages."""

import math
import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

FIRST, LAST = date(1970, 1, 1), date(9998, 12, 31)
"""Days that people may enter: what is computed from them, in any zone, stays a date."""

ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
"""A day or a moment as a calendar date of ISO 8601; no week dates, no ordinal dates."""

END_OF_DAY = timedelta(days=1, seconds=-1)
DAY_LENGTH = len("2027-01-31")


@cache
def zone_names() -> frozenset[str]:
    """Return every name of the time zone database."""
    return frozenset(zoneinfo.available_timezones())


def known_zone(*chosen: str) -> str:
    """Return the first of the names that the time zone database has, or UTC."""
    return next((name for name in chosen if name in zone_names()), "UTC")


MONTHS = ("", *["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
"""By their numbers: `strftime` would ask the C library for each of the moments of a page."""

MINUS = "\N{MINUS SIGN}"
"""Unlike a hyphen, no place to break a line."""

OUT_OF_RANGE = f"Enter a date from {FIRST} to {LAST}."
NOT_ISO = (
    "Enter a day such as 2027-01-31, or a moment with its offset such as 2027-01-31T12:00:00Z."
)


def moment(at: datetime, zone: tzinfo | None = None) -> str:
    """Return a moment as text for a sentence: "23 Nov 2026 at 15:02 UTC+1".

    In the zone of whoever reads it, unless a zone is given.
    """
    at = timezone.localtime(at, zone)
    return f"{day(at)} at {at:%H:%M} {zone_label(at)}"


def moment_beside_utc(at: datetime) -> str:
    """Return a moment for a mail, which may be read elsewhere or passed on.

    In the reader's zone with UTC beside: "23 Nov 2026 at 15:02 UTC+1 (14:02 UTC)".
    """
    local, in_utc = timezone.localtime(at), timezone.localtime(at, UTC)
    if not local.utcoffset():
        return moment(at)
    same_day = local.date() == in_utc.date()
    return f"{moment(at)} ({f'{in_utc:%H:%M} UTC' if same_day else moment(at, UTC)})"


def day(at: datetime) -> str:
    """Return the day of a moment in its own zone: "23 Nov 2026"."""
    return f"{at.day} {MONTHS[at.month]} {at.year}"


def zone_label(at: datetime) -> str:
    """Return how far the zone of a moment is ahead of UTC: "UTC", "UTC+1", "UTC+5:30"."""
    minutes = (at.utcoffset() or timedelta()) // timedelta(minutes=1)
    if not minutes:
        return "UTC"
    hours, minutes_left = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else MINUS
    return f"UTC{sign}{hours}" + (f":{minutes_left:02}" if minutes_left else "")


def days_until(at: datetime, now: datetime) -> int:
    """Return the days left, rounded up as in `expires_in`; 0 once the moment has come."""
    return max(math.ceil((at - now) / timedelta(days=1)), 0)


def remaining(at: datetime, now: datetime) -> str:
    """Return the time left: "5 days", as `days_until` counts them; below one day "8 hours"."""
    left = at - now
    if left >= timedelta(days=1):
        return _counted(days_until(at, now), "day")
    if left >= timedelta(hours=1):
        return _counted(left // timedelta(hours=1), "hour")
    if left >= timedelta(minutes=1):
        return _counted(left // timedelta(minutes=1), "minute")
    return "less than a minute"


def is_near(at: datetime, now: datetime) -> bool:
    """Return whether a moment comes within less than a day, so that its clock counts."""
    return now < at < now + timedelta(days=1)


def near(at: datetime, now: datetime) -> str:
    """Return a moment within a day: "today at 22:15 UTC+1", "tomorrow at 02:15 UTC+1"."""
    at, now = timezone.localtime(at), timezone.localtime(now)
    return f"{'today' if at.date() == now.date() else 'tomorrow'} at {at:%H:%M} {zone_label(at)}"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


class DayFormField(forms.DateField):
    """A day from FIRST to LAST, as ISO 8601 writes it: 2027-01-31."""

    default_validators = [
        MinValueValidator(FIRST, OUT_OF_RANGE),
        MaxValueValidator(LAST, OUT_OF_RANGE),
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **kwargs)


class MomentFormField(forms.Field):
    """A day or a moment in ISO 8601, from FIRST to LAST; a moment without offset is in UTC.

    A day means its beginning or, where `ends_day` is set, its last second. Cleaned values are
    aware datetimes, None for an empty field.
    """

    def __init__(self, *, ends_day: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ends_day = ends_day

    @override
    def to_python(self, value: Any) -> datetime | None:
        text = str(value or "").strip()
        if not text:
            return None
        if not ISO.fullmatch(text):
            raise ValidationError(NOT_ISO, code="invalid")
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError(NOT_ISO, code="invalid") from None
        if not FIRST <= at.date() <= LAST:
            raise ValidationError(OUT_OF_RANGE, code="invalid")
        at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
        return at + END_OF_DAY if self.ends_day and len(text) == DAY_LENGTH else at


class MomentField(models.DateTimeField):
    """A column of moments from FIRST to LAST. To migrations it is a DateTimeField."""

    @override
    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    @override
    def clean(self, value: Any, model_instance: Any) -> Any:
        at = super().clean(value, model_instance)
        if at is not None and not FIRST <= at.date() <= LAST:
            raise ValidationError(OUT_OF_RANGE, code="invalid")
        return at
