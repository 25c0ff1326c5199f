"""Forms about subscriptions."""

from django import forms

from portal.core.names import NameFormField
from subscriptions.flows.annotate import read_labels, read_note
from subscriptions.models import MAX_LABEL, MAX_LABELS


class RenameForm(forms.Form):
    """A new name for a subscription."""

    name = NameFormField(
        label="Name",
        max_length=200,
        help_text="Shown in this portal only; license keys and terminals do not know it.",
        error_messages={"required": "Enter a name."},
    )


class AnnotateForm(forms.Form):
    """Labels and a note on a subscription."""

    labels = forms.CharField(
        label="Labels",
        required=False,
        help_text=f"At most {MAX_LABELS}, separated by commas, each of at most {MAX_LABEL} "
        "characters, such as “production, Berlin”.",
    )
    note = forms.CharField(
        label="Note",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Members of your tenant see labels and note and find the subscription by them. "
        "Enter no secrets.",
    )

    def clean_labels(self) -> str:
        """Return the labels as they are stored."""
        return read_labels(self.cleaned_data["labels"])

    def clean_note(self) -> str:
        """Return the note as it is stored."""
        return read_note(self.cleaned_data["note"])
