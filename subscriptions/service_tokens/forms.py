"""Forms about service tokens."""

import uuid
from datetime import timedelta
from typing import Any, override

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.core.names import NameFormField, validate_no_credential
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from subscriptions.service_tokens.flows import read_networks
from subscriptions.service_tokens.models import DEFAULT_DAYS, MAX_DAYS, Scope

MAX_CHOSEN = 100
"""Subscriptions that are chosen for a token one by one, at most."""

LINES = {"rows": 3, "autocomplete": "off", "spellcheck": "false"}


def scope_in_form(scope: Scope) -> SafeString:
    """Return a scope in words and as programs have it, and below it what it opens."""
    return format_html(
        '{} <code class="small">{}</code><span class="muted">{}</span>',
        scope.words,
        scope.value,
        scope.label,
    )


class MakeForm(forms.Form):
    """What a new token is called, may do, reaches, and how long it lasts."""

    id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    name = NameFormField(
        label="Name",
        max_length=100,
        in_mails=True,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Where it is used, such as “Nightly renewal in Berlin”. It appears in the log.",
        error_messages={"required": "Enter a name."},
    )
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        choices=[(scope.value, scope_in_form(scope)) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose what the token may do."},
    )
    reach = forms.ChoiceField(
        label="Which subscriptions it reaches",
        choices=[("all", "All, later ones too"), ("chosen", "Only those below")],
        initial="all",
        widget=forms.RadioSelect,
    )
    subscriptions = forms.CharField(
        label="Only these subscriptions",
        required=False,
        max_length=MAX_CHOSEN * 202,
        widget=forms.Textarea(attrs=LINES),
        help_text="Name or identifier, one on each line.",
    )
    days = forms.IntegerField(
        label="Expires in days",
        min_value=1,
        max_value=MAX_DAYS,
        initial=DEFAULT_DAYS,
        help_text=f"At most {MAX_DAYS}. Owners get a mail 14 and 3 days before.",
        error_messages={"required": f"Enter 1 to {MAX_DAYS} days."},
    )
    networks = forms.CharField(
        label="Only from these networks",
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs=LINES),
        help_text="Such as 198.51.100.0/24 or 2001:db8::/32, one on each line.",
    )

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant

    def clean_networks(self) -> list[str]:
        """Return the networks as they are stored."""
        try:
            return read_networks(_lines(self.cleaned_data["networks"]))
        except Refused as refusal:
            raise forms.ValidationError(refusal.sentence) from refusal

    @override
    def clean(self) -> dict[str, Any]:
        """Return the arguments of the flow; `subscriptions` is None for all of them."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        reach, text = cleaned.pop("reach", "all"), cleaned.pop("subscriptions", "")
        try:
            if reach == "all" and text.strip():
                raise forms.ValidationError("Choose “Only those below”, or leave this empty.")
            cleaned["subscriptions"] = None if reach == "all" else self._found(_lines(text))
        except forms.ValidationError as error:
            self.add_error("subscriptions", error)
        return cleaned

    def _found(self, lines: list[str]) -> list[Subscription]:
        """Return the tenant's subscriptions that the lines name. Raises ValidationError."""
        if not lines:
            raise forms.ValidationError("Enter the subscriptions that the token reaches.")
        if len(lines) > MAX_CHOSEN:
            raise forms.ValidationError(f"Enter at most {MAX_CHOSEN} subscriptions.")
        found = [self._one(line) for line in lines]
        return list(dict.fromkeys(found))

    def _one(self, text: str) -> Subscription:
        rows = self.tenant.subscriptions
        try:
            named = rows.filter(pk=uuid.UUID(text))
        except ValueError:
            named = rows.filter(name__iexact=text)
        match list(named[:2]):
            case [one]:
                return one
            case []:
                raise forms.ValidationError(f"There is no subscription “{text[:100]}”.")
            case _:
                raise forms.ValidationError(
                    f"Several subscriptions are called “{text[:100]}”. Enter the identifier."
                )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


OVERLAPS = {
    "0": (timedelta(0), "Now"),
    "24": (timedelta(hours=24), "In 24 hours"),
    "168": (timedelta(days=7), "In 7 days"),
}
"""How long an old token works beside its successor, by the hours."""


class RotateForm(forms.Form):
    """When the old token stops working."""

    overlap = forms.ChoiceField(
        label="The old token stops working",
        choices=[(hours, label) for hours, (_, label) in OVERLAPS.items()],
        initial="24",
        widget=forms.RadioSelect,
    )

    def clean_overlap(self) -> timedelta:
        """Return how long the old token goes on."""
        return OVERLAPS[self.cleaned_data["overlap"]][0]


class RevokeForm(forms.Form):
    """Why a token is revoked."""

    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=500,
        validators=[validate_no_credential],
        help_text="The log and the mail give it.",
    )
