"""The reason that operators give for what they do."""

from collections.abc import Sequence
from typing import Any

from django import forms

from portal.core.names import validate_no_credential


class SplitMoment(forms.SplitDateTimeWidget):
    """Day and time (UTC) as text: a browser's pickers would write 8/5 or 5.8., as it is set up."""

    def __init__(self, attrs: Any = None) -> None:
        plain: dict[str, Any] = {"size": 10, "autocomplete": "off", "spellcheck": "false"}
        super().__init__(
            attrs,
            date_attrs={"aria-label": "Day", "placeholder": "2027-01-31", **plain},
            time_attrs={"aria-label": "Time (UTC)", "placeholder": "12:00", **plain},
            date_format="%Y-%m-%d",
            time_format="%H:%M:%S",
        )


class SplitMomentField(forms.SplitDateTimeField):
    """A moment in UTC, typed as a day such as 2027-01-31 and a time of 24 hours."""

    widget = SplitMoment

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                **kwargs,
                "input_date_formats": ["%Y-%m-%d"],
                "input_time_formats": ["%H:%M", "%H:%M:%S"],
                "error_messages": {
                    "invalid_date": "Enter a day such as 2027-01-31.",
                    "invalid_time": "Enter a time such as 12:00.",
                },
            }
        )


def reason_field() -> forms.CharField:
    """Return the field in which operators say why they do something."""
    return forms.CharField(
        max_length=500,
        validators=[validate_no_credential],
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70}),
        help_text="At most 500 characters. It stands in the log, where the customer reads it.",
        error_messages={"required": "Write why you do this."},
    )


class ReasonForm(forms.Form):
    """Why an operator does something to `rows`; more fields stand in front of the reason."""

    reason = reason_field()

    def __init__(self, *args: Any, rows: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.order_fields([name for name in self.fields if name != "reason"])
