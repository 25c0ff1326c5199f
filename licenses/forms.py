"""Forms about license keys."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from licenses.files import LARGEST_UPLOAD
from licenses.flows.generate import usages
from licenses.flows.reset import Overlap, overlap_end, overlaps
from licenses.models import LicenseKey, SigningKey, Slot, Usage
from portal.dates import moment
from portal.forms import ReasonForm
from portal.models import User
from subscriptions.models import Subscription

HOLDER_LABELS = {
    Usage.ORGANIZATIONAL: "Organization or Business Name",
    Usage.PERSONAL: "Full name",
    Usage.EDUCATIONAL: "Educational institute name",
    Usage.RESEARCH: "Organization or Business Name",
}
"""What the holder's name is called, by usage."""


class UsageSelect(forms.RadioSelect):
    """Radio buttons which tell the page how the holder's name is called for each usage."""

    def __init__(self, suggestions: dict[str, str]) -> None:
        super().__init__()
        self.suggestions = suggestions

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the option with the label and the suggestion that follow it."""
        option = super().create_option(name, value, *args, **kwargs)
        option["attrs"] |= {
            "data-label-for": "id_holder_name",
            "data-label-text": HOLDER_LABELS[Usage(value)],
            "data-value": self.suggestions.get(value, ""),
        }
        return option


class GenerateForm(forms.Form):
    """The license audience: usage and the holder's name."""

    usage = forms.ChoiceField(label="Usage")
    holder_name = forms.CharField(
        # The rules of the name, its length too, are the flow's: one place for every way in.
        strip=False,
        help_text="Everybody who has a key can read this name. Never enter a secret, such as a "
        "password, an API key or an access token.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "maxlength": ""}),
        error_messages={"required": "Enter the holder's name."},
    )

    def __init__(
        self, data: Any = None, *, subscription: Subscription, user: User, **kwargs: Any
    ) -> None:
        offered = usages(subscription.plan)
        person = {Usage.PERSONAL: user.name}
        suggestions = {
            usage.value: person.get(usage, subscription.tenant.name) for usage in offered
        }
        initial = {"usage": offered[0].value, "holder_name": suggestions[offered[0].value]}
        super().__init__(data, initial=initial, **kwargs)
        usage = self.fields["usage"]
        assert isinstance(usage, forms.ChoiceField)
        usage.widget = UsageSelect(suggestions)
        usage.choices = [(u.value, u.label) for u in offered]
        chosen = data.get("usage") if data else None
        if chosen not in Usage.values:
            chosen = offered[0].value
        self.fields["holder_name"].label = HOLDER_LABELS[Usage(chosen)]


class ResetForm(forms.Form):
    """When the old key of the slot stops working, and which key that is."""

    overlap = forms.ChoiceField(
        label="When does the old key stop working?", widget=forms.RadioSelect
    )
    expected_jti = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, key: LicenseKey, now: datetime, **kwargs: Any) -> None:
        initial = {"overlap": Overlap.NOW.value, "expected_jti": key.jti}
        super().__init__(data, initial=initial | kwargs.pop("initial", {}), **kwargs)
        overlap = self.fields["overlap"]
        assert isinstance(overlap, forms.ChoiceField)
        overlap.choices = [
            (choice.value, _overlap_label(key, choice, now)) for choice in overlaps(key, now)
        ]


def _overlap_label(key: LicenseKey, overlap: Overlap, now: datetime) -> str:
    if overlap == Overlap.NOW:
        return overlap.label
    return f"{overlap.label}: {moment(overlap_end(key, overlap, now))}"


class DeleteForm(forms.Form):
    """The subscription's name, typed as a confirmation."""

    confirmation = forms.CharField(
        required=False,
        strip=True,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )

    def __init__(self, data: Any = None, *, subscription: Subscription, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.subscription = subscription
        self.fields["confirmation"].label = f"To confirm, type {subscription.name}"

    def clean_confirmation(self) -> str:
        """Admit nothing but the subscription's name."""
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.subscription.name.strip():
            raise forms.ValidationError(
                f"That does not match. Type {self.subscription.name} as it is written here."
            )
        return typed


class CheckForm(forms.Form):
    """Which of the two stored keys to check."""

    slot = forms.ChoiceField(
        label="License key", choices=Slot.choices, widget=forms.RadioSelect, initial=Slot.PRIMARY
    )


class CheckPresentedForm(forms.Form):
    """A pasted key or an uploaded license file; neither is ever stored."""

    text = forms.CharField(
        label="License key",
        required=False,
        max_length=LARGEST_UPLOAD,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
        help_text="Paste a license key or the content of a license file.",
    )
    file = forms.FileField(
        label="Or a license file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
        help_text="The JSON file as downloaded, at most 64 KiB. It is checked and not kept.",
    )

    def clean(self) -> dict[str, Any]:
        """Take the text or the file, whichever was given; the file is decoded here."""
        cleaned = super().clean() or {}
        file = cleaned.get("file")
        if file is not None:
            if file.size > LARGEST_UPLOAD:
                self.add_error("file", "A license file has at most 64 KiB; choose another file.")
                return cleaned
            try:
                cleaned["presented"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", "This is no license file: it is not UTF-8 text.")
        elif (cleaned.get("text") or "").strip():
            cleaned["presented"] = cleaned["text"]
        elif not self.errors:
            self.add_error("text", "Paste a license key or choose a license file.")
        return cleaned


class ActivateSigningKeyForm(ReasonForm):
    """Activate a signing key; one that was published too recently in an emergency only."""

    is_emergency = forms.BooleanField(
        required=False,
        label="Emergency",
        help_text="Activate it although it was published too recently: whoever verifies keys and "
        "has not fetched it yet refuses what it signs.",
    )

    def __init__(self, *args: Any, is_early: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_early:
            del self.fields["is_emergency"]


class DisableSigningKeyForm(ReasonForm):
    """Disable a signing key: its key id's beginning is typed, so that it is no slip."""

    confirmation = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, signing_key: SigningKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wanted = signing_key.kid[:8]
        self.fields["confirmation"].help_text = f"Type {self.wanted}, how the key id begins."

    def clean_confirmation(self) -> str:
        """Refuse anything but the beginning of the key id."""
        typed = str(self.cleaned_data["confirmation"])
        if typed != self.wanted:
            raise ValidationError(f"Type {self.wanted} to disable this signing key.")
        return typed
