"""The reason that operators give for what they do."""

from collections.abc import Sequence
from typing import Any

from django import forms

from portal.core.names import validate_no_token


class SplitMoment(forms.SplitDateTimeWidget):
    """Day and time (UTC) in the browser's own pickers, which show seconds where there are any."""

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(
            attrs,
            date_attrs={"type": "date", "aria-label": "Day"},
            time_attrs={"type": "time", "aria-label": "Time (UTC)"},
            date_format="%Y-%m-%d",
            time_format="%H:%M:%S",
        )


def reason_field() -> forms.CharField:
    """Return the field in which operators say why they do something."""
    return forms.CharField(
        max_length=500,
        validators=[validate_no_token],
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
