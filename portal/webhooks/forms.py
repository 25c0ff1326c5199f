"""Forms for endpoints."""

from django import forms

from portal.activity.actions import event_types
from portal.core.refusal import Refused
from portal.webhooks.addresses import MAX_CHARACTERS, refuse_unusable


def event_choices() -> list[tuple[str, str]]:
    """Return the events to choose from; their names are what receivers see."""
    return [(event, event) for event in event_types()]


class EndpointForm(forms.Form):
    """Where events go, and which."""

    url = forms.CharField(
        label="Address",
        max_length=MAX_CHARACTERS,
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Begins with https:// and is reached from the internet. Redirects are not "
        "followed.",
        error_messages={"required": "Enter the address that receives the events."},
    )
    events = forms.MultipleChoiceField(
        label="Events",
        choices=event_choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one event."},
    )

    def clean_url(self) -> str:
        """Refuse an address that cannot be used."""
        try:
            return refuse_unusable(self.cleaned_data["url"])
        except Refused as refusal:
            raise forms.ValidationError(refusal.sentence) from refusal


class RotateForm(forms.Form):
    """The secret that the person saw, by when it was made."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)
