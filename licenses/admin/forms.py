"""Forms about signing keys."""

from collections.abc import Sequence
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from licenses.flows.signing_keys import signs_from, waiting
from licenses.models import SigningKey, SigningKeyState
from portal.operators.forms import VendorReasonForm


class ActivateSigningKeyForm(VendorReasonForm):
    """Activation of a signing key; in an emergency also of one published too recently."""

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


class DisableSigningKeyForm(VendorReasonForm):
    """Disabling of a signing key; the beginning of its key id is typed as a confirmation."""

    with_new_successor = forms.BooleanField(
        required=False,
        label="New successor",
        help_text="Make a new signing key, although another waits: that one may have leaked too. "
        "Disable it afterwards.",
    )
    confirmation = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, rows: Sequence[SigningKey], **kwargs: Any) -> None:
        super().__init__(*args, rows=rows, **kwargs)
        if rows[0].state != SigningKeyState.ACTIVE or waiting() is None:
            del self.fields["with_new_successor"]
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
        """Drop the confirmation, which the flow does not take."""
        cleaned = super().clean() or self.cleaned_data
        return {name: value for name, value in cleaned.items() if name != "confirmation"}
