"""What the forms of both apps share."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict

from portal.refusal import Refused


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what was posted, even when that is nothing: the form is bound, so it says so."""
    return request.POST if request.method == "POST" else None


def accepted(form: forms.BaseForm, act: Callable[[], object]) -> bool:
    """Run the flow when the form is valid; return whether it went through.

    A refusal lands on the form, next to the field that it names.
    """
    if not form.is_valid():
        return False
    try:
        act()
    except Refused as refusal:
        form.add_error(refusal.field, refusal.sentence)
        return False
    return True


def reason_field() -> forms.CharField:
    """Return the field in which operators say why they do something."""
    return forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70}),
        help_text="At most 500 characters. It stands in the log, where the customer reads it.",
        error_messages={"required": "Write why you do this."},
    )


class ReasonForm(forms.Form):
    """Why an operator does something; a form that asks for more has its fields in front of it."""

    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"])
