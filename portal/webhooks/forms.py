"""Forms for endpoints."""

from django import forms
from django.utils.html import format_html

from portal.activity.actions import EVENT_WORDS, event_types
from portal.core.refusal import Refused
from portal.webhooks.addresses import MAX_CHARACTERS, refuse_unusable
from portal.webhooks.models import EVERYTHING


def event_choices() -> list[tuple[str, str]]:
    """Return everything, then the events one by one, in words with the type that receivers see."""
    return [
        (EVERYTHING, "Everything, including events that later releases add"),
        *((event, _described(event)) for event in event_types()),
    ]


def _described(event: str) -> str:
    name, when = EVENT_WORDS[event]
    return format_html(
        '{} <code class="small">{}</code><span class="muted">{}</span>', name, event, when
    )


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

    def clean_events(self) -> list[str]:
        """Return the events: everything alone, if that is among them."""
        events = self.cleaned_data["events"]
        return [EVERYTHING] if EVERYTHING in events else events

    def clean_url(self) -> str:
        """Refuse an address that cannot be used."""
        try:
            return refuse_unusable(self.cleaned_data["url"])
        except Refused as refusal:
            raise forms.ValidationError(refusal.sentence) from refusal


class RotateForm(forms.Form):
    """The secret that the person saw, by when it was made."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)
