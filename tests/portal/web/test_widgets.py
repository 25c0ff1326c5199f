"""Inputs and selects as functions write them, beside Django's templates."""

import pytest
from django import forms
from django.forms.renderers import TemplatesSetting
from django.utils.safestring import mark_safe

from portal.web.widgets import WRITERS, WidgetRenderer

STRANGE = """<b>"&'"""


def written(widget: forms.Widget, value: object, **attrs: object) -> tuple[str, str]:
    """Return the HTML of the widget by our renderer and by Django's."""
    ours, theirs = (
        widget.render("name", value, attrs, renderer)
        for renderer in (WidgetRenderer(), TemplatesSetting())
    )
    return ours, theirs


@pytest.mark.parametrize("value", [None, "", 0, STRANGE, mark_safe("&amp;")])
@pytest.mark.parametrize(
    "widget",
    [
        forms.TextInput(),
        forms.EmailInput(),
        forms.NumberInput(),
        forms.PasswordInput(render_value=True),
        forms.HiddenInput(),
        forms.DateInput(),
        forms.TimeInput(),
    ],
    ids=lambda widget: type(widget).__name__,
)
def test_an_input_is_written_as_by_django(widget: forms.Widget, value: object) -> None:
    ours, theirs = written(
        widget, value, id="id_name", required=True, disabled=False, maxlength=20, title=STRANGE
    )
    assert widget.template_name in WRITERS
    assert ours == theirs


@pytest.mark.parametrize("chosen", [None, "", "a", STRANGE])
def test_a_select_is_written_as_by_django(chosen: str | None) -> None:
    choices = [("", "All"), ("a", STRANGE), (STRANGE, "A"), (STRANGE * 2, [("b", "B"), (3, "C")])]
    ours, theirs = written(forms.Select(choices=choices), chosen, id="id_name", required=True)
    assert ours.split() == theirs.split()
