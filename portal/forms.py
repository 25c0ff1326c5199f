"""What the forms of both apps share."""

from collections.abc import Callable

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


class ReasonForm(forms.Form):
    """Why an operator does something; the log keeps it, and customers read it in theirs."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70}),
        help_text="At most 500 characters. It stands in the log.",
    )
