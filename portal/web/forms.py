"""What the forms of all apps share."""

from collections.abc import Iterator
from contextlib import contextmanager

from django import forms
from django.http import HttpRequest, QueryDict
from django.views.decorators.http import require_http_methods

from portal.core.refusal import Refused

require_form_methods = require_http_methods(["GET", "HEAD", "POST"])
"""For views that show a form and take it."""


class ConfirmForm(forms.Form):
    """Nothing to fill in: pressing the button is the answer."""


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what was posted, even when that is nothing: the form is bound, so it says so."""
    return request.POST if request.method == "POST" else None


@contextmanager
def refusals_on(form: forms.BaseForm) -> Iterator[None]:
    """Put the refusal of a flow onto the form, next to the field that it names.

    What follows the flow inside the block is skipped then, so the view goes on to show the form.
    """
    try:
        yield
    except Refused as refusal:
        form.add_error(refusal.field, refusal.sentence)
