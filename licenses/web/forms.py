"""Forms of the License Keys card."""

from datetime import datetime, timedelta
from typing import Any, override
from uuid import UUID

from django import forms
from django.utils import timezone

from licenses.flows.generate import usages
from licenses.flows.reset import Overlap, overlap_end, overlaps
from licenses.holder_name import suggested
from licenses.models import License, LicenseKey, Slot, Usage
from portal.accounts.models import User
from portal.core import names
from portal.core.dates import day, moment
from portal.core.refusal import Refused
from subscriptions.models import Subscription

HOLDER_LABELS = {
    Usage.ORGANIZATIONAL: "Organization or Business Name",
    Usage.PERSONAL: "Full name",
    Usage.EDUCATIONAL: "Educational institute name",
    Usage.RESEARCH: "Organization or Business Name",
}
"""The label of the holder's name, by usage."""


SAME_MOMENT = timedelta(hours=1)
"""Two ends of an overlap that are closer than this are one choice."""


class UsageSelect(forms.RadioSelect):
    """Radio buttons with the label of the holder's name for each usage, for the page's script."""

    def __init__(self, suggestions: dict[str, str]) -> None:
        super().__init__()
        self.suggestions = suggestions

    @override
    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add the label and suggestion that the option has for the holder's name."""
        option = super().create_option(name, value, *args, **kwargs)
        option["attrs"] |= {
            "data-label-for": "id_holder_name",
            "data-label-text": HOLDER_LABELS[Usage(value)],
            "data-value": self.suggestions.get(value, ""),
        }
        return option


class GenerateForm(forms.Form):
    """The usage and the holder's name of a new license."""

    usage = forms.TypedChoiceField(label="Usage", coerce=Usage)
    holder_name = forms.CharField(
        # The flow has the rules of the name, its length too, for all callers.
        strip=False,
        help_text="Everybody who has a key can read this name. Never enter a secret, such as a "
        "password, an API key or an access token.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Enter the holder's name."},
    )

    def __init__(
        self, data: Any = None, *, subscription: Subscription, user: User, **kwargs: Any
    ) -> None:
        offered = usages(subscription.plan)
        person = {Usage.PERSONAL: user.name}
        suggestions = {
            usage.value: suggested(person.get(usage, subscription.tenant.name)) for usage in offered
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


class SeenForm(forms.Form):
    """Which key the slot had when the page was opened."""

    expected_jti = forms.UUIDField(widget=forms.HiddenInput)

    @classmethod
    def read(cls, data: Any) -> UUID:
        """Return that key's identifier; raises Refused where the form does not have it."""
        form = cls(data)
        if not form.is_valid():
            raise Refused("The form did not say which key was shown. Open it again.")
        seen: UUID = form.cleaned_data["expected_jti"]
        return seen


class ResetForm(SeenForm):
    """When the old key of the slot stops working, and which key that is."""

    overlap = forms.TypedChoiceField(
        label="When does the old key stop working?", coerce=Overlap, widget=forms.RadioSelect
    )

    def __init__(
        self, data: Any = None, *, key: LicenseKey, now: datetime, initial: dict[str, Any]
    ) -> None:
        super().__init__(data, initial={"expected_jti": key.jti} | initial)
        self.key, self.now = key, now
        overlap = self.fields["overlap"]
        assert isinstance(overlap, forms.ChoiceField)
        if len(overlaps(key, now)) == 1:  # where there is no choice, nothing is asked
            self.initial["overlap"] = Overlap.NOW
            overlap.disabled, overlap.widget = True, forms.HiddenInput()
        overlap.choices = [
            (choice.value, _overlap_label(key, choice, now)) for choice in overlaps(key, now)
        ]
        # Any overlap is taken, since a page may be older than the hour that makes the difference.
        overlap.widget.choices = [
            (value, label) for value, label in overlap.choices if _is_distinct(key, value, now)
        ]

    def show(self, *, in_use: bool, has_old: bool) -> None:
        """Suggest an overlap, and name the key, by what the page tells of the slot."""
        self.initial.setdefault("overlap", _suggested(self.key, self.now, in_use=in_use))
        if has_old:  # "the old key" would be either of two
            issued = moment(self.key.issued_at)
            self["overlap"].label = f"When does the key of {issued} stop working?"


def _suggested(key: LicenseKey, now: datetime, *, in_use: bool) -> Overlap:
    """Return NOW, or for a key in use the longest overlap up to a week, so that no terminal stops.

    Whoever resets a key that leaked chooses NOW.
    """
    if not in_use or len(overlaps(key, now)) == 1:
        return Overlap.NOW
    return Overlap.WEEK if _is_distinct(key, Overlap.WEEK, now) else Overlap.EXPIRY


def _overlap_label(key: LicenseKey, overlap: Overlap, now: datetime) -> str:
    if overlap == Overlap.NOW:
        return overlap.label
    return f"{overlap.label}: {moment(overlap_end(key, overlap, now))}"


def _is_distinct(key: LicenseKey, value: str, now: datetime) -> bool:
    """Return whether the overlap ends well before the key, whose expiry is a choice of its own."""
    if value in {Overlap.NOW, Overlap.EXPIRY}:
        return True
    return key.expires_at - overlap_end(key, Overlap(value), now) >= SAME_MOMENT


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
        """Refuse anything but the subscription's name."""
        typed: str = self.cleaned_data["confirmation"]
        if names.seen(typed) != names.seen(self.subscription.name):
            raise forms.ValidationError(
                f"That does not match. Type {self.subscription.name} as it is written here."
            )
        return typed


class CheckForm(forms.Form):
    """Which of the two stored keys to check."""

    slot = forms.ChoiceField(
        label="License key", choices=Slot.choices, widget=forms.RadioSelect, initial=Slot.PRIMARY
    )

    def __init__(self, data: Any = None, *, license: License) -> None:
        super().__init__(data)
        slot, now = self.fields["slot"], timezone.now()
        assert isinstance(slot, forms.ChoiceField)
        slot.choices = [
            (key.slot, _with_expiry(key, now)) for key in license.keys.current().order_by("slot")
        ] or Slot.choices


def _with_expiry(key: LicenseKey, now: datetime) -> str:
    verb = "expires" if key.expires_at > now else "expired"
    return f"{Slot(key.slot).label}, {verb} on {day(timezone.localtime(key.expires_at))}"
