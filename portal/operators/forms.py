"""The reason that operators give for what they do."""

from collections.abc import Sequence
from typing import Any

from django import forms

from portal.core.names import validate_no_credential


class SplitMoment(forms.SplitDateTimeWidget):
    """Day and time (UTC), with the browser's pickers."""

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(
            attrs,
            date_attrs={"aria-label": "Day", "type": "date"},
            time_attrs={"aria-label": "Time (UTC)", "type": "time", "step": "1"},
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


CUSTOMERS_LOG = "It stands in the log, where the customer reads it."
VENDORS_LOG = "It stands in the vendor's log, which no customer reads."


def reason_field(where: str = CUSTOMERS_LOG) -> forms.CharField:
    """Return the field in which operators say why they do something, with who reads it."""
    return forms.CharField(
        max_length=500,
        validators=[validate_no_credential],
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70}),
        help_text=f"At most 500 characters. {where}",
        error_messages={"required": "Write why you do this."},
    )


class ReasonForm(forms.Form):
    """Why an operator does something to `rows`; more fields stand in front of the reason."""

    reason = reason_field()

    def __init__(self, *args: Any, rows: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.order_fields([name for name in self.fields if name != "reason"])


class VendorReasonForm(ReasonForm):
    """Why an operator does something that is the vendor's own matter."""

    reason = reason_field(VENDORS_LOG)
