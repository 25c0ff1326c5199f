"""Days and moments that strangers write."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from portal.core.dates import NOT_ISO, OUT_OF_RANGE, MomentFormField

DAY = datetime(2027, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        (
            "2027-01-31",
            datetime(2027, 1, 31, tzinfo=UTC),
            datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC),
        ),
        (" 2027-01-31T10:00 ", *[datetime(2027, 1, 31, 10, tzinfo=UTC)] * 2),
        ("2027-01-31 10:00:30Z", *[datetime(2027, 1, 31, 10, 0, 30, tzinfo=UTC)] * 2),
        ("2027-01-31T01:00:00+05:30", *[datetime(2027, 1, 30, 19, 30, tzinfo=UTC)] * 2),
        ("9998-12-31T23:59-12:00", *[datetime(9999, 1, 1, 11, 59, tzinfo=UTC)] * 2),
        ("", None, None),
    ],
)
def test_a_day_begins_or_ends_and_a_moment_is_itself(text, begin, end):
    fields = MomentFormField(required=False), MomentFormField(required=False, ends_day=True)
    assert [field.clean(text) for field in fields] == [begin, end]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("31.1.2027", NOT_ISO),
        ("01/31/2027", NOT_ISO),
        ("20270131", NOT_ISO),
        ("2027-W04-7", NOT_ISO),
        ("2027-02-30", NOT_ISO),
        ("2027-01-31T24:00", NOT_ISO),
        ("tomorrow", NOT_ISO),
        ("\u0662\u0660\u0662\u0667-01-31", NOT_ISO),
        ("12027-01-31", NOT_ISO),
        ("9999-12-31", OUT_OF_RANGE),
        ("9999-12-31T23:59:59-12:00", OUT_OF_RANGE),
        ("0001-01-01T00:00+14:00", OUT_OF_RANGE),
        ("1969-12-31", OUT_OF_RANGE),
    ],
)
def test_other_text_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValidationError) as error:
        MomentFormField(ends_day=True).clean(text)
    assert error.value.messages[0] == sentence
