"""Forms about subscriptions."""

from django import forms

from portal.core.names import NameFormField
from subscriptions.models import State


class RenameForm(forms.Form):
    """A new name for a subscription."""

    name = NameFormField(
        label="Name",
        max_length=200,
        help_text="Shown in this portal only; license keys and terminals do not know it.",
        error_messages={"required": "Enter a name."},
    )


class FilterForm(forms.Form):
    """The search and the filters of the list of subscriptions."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name or identifier"}),
    )
    state = forms.ChoiceField(
        label="State", required=False, choices=[("", "All states"), *State.choices]
    )
