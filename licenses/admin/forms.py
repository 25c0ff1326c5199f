"""Forms about signing keys."""

from collections.abc import Sequence
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from licenses.flows.signing_keys import signs_from
from licenses.models import SigningKey
from portal.operators.forms import ReasonForm


class ActivateSigningKeyForm(ReasonForm):
    """Activate a signing key; one that was published too recently in an emergency only."""

    is_emergency = forms.BooleanField(
        required=False,
        label="Emergency",
        help_text="Activate it although it was published too recently: whoever verifies keys and "
        "has not fetched it yet refuses what it signs.",
    )

    def __init__(self, *args: Any, rows: Sequence[SigningKey], **kwargs: Any) -> None:
        super().__init__(*args, rows=rows, **kwargs)
        if timezone.now() >= signs_from(rows[0]):
            del self.fields["is_emergency"]


class DisableSigningKeyForm(ReasonForm):
    """Disable a signing key: its key id's beginning is typed, so that it is no slip."""

    confirmation = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, rows: Sequence[SigningKey], **kwargs: Any) -> None:
        super().__init__(*args, rows=rows, **kwargs)
        self.wanted = rows[0].kid[:8]
        self.fields["confirmation"].help_text = f"Type {self.wanted}, how the key id begins."

    def clean_confirmation(self) -> str:
        """Refuse anything but the beginning of the key id."""
        typed = str(self.cleaned_data["confirmation"])
        if typed != self.wanted:
            raise ValidationError(f"Type {self.wanted} to disable this signing key.")
        return typed

    @override
    def clean(self) -> dict[str, Any]:
        """Leave the confirmation out of what the flow gets."""
        cleaned = super().clean() or self.cleaned_data
        return {name: value for name, value in cleaned.items() if name != "confirmation"}
