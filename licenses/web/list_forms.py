"""Forms of the list of subscriptions."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from licenses.models import Slot
from licenses.web.triage import NEEDS
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription

MAX_CHOSEN = 100
"""Subscriptions whose files are downloaded at once, at most."""
FILES = [
    ("primary", "Primary keys"),
    ("secondary", "Secondary keys"),
    ("primary secondary", "Both keys"),
]
"""Whose files are downloaded: slots, and their name."""


class ListForm(forms.Form):
    """The search, the filter and the order of the list of subscriptions."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, label or identifier"}
        ),
    )
    state = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[
            ("", "All subscriptions"),
            *((name, badge.label) for name, badge in NEEDS.items()),
            *((state.value, state.label) for state in State if state not in NEEDS),
        ],
    )


class IdentifierForm(forms.Form):
    """The search for a subscription's identifiers."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, label or identifier"}
        ),
    )


class DownloadForm(forms.Form):
    """The subscriptions of a tenant whose license files are wanted, and of which slots."""

    subscription = forms.ModelMultipleChoiceField(
        Subscription.objects.none(),
        error_messages={
            "required": "Choose the subscriptions first, then download their files.",
            "invalid_choice": "One of the chosen subscriptions does not exist any more.",
            "invalid_pk_value": "One of the chosen subscriptions does not exist any more.",
        },
    )
    keys = forms.ChoiceField(label="Files", choices=FILES)

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["subscription"]
        field.queryset = Subscription.objects.for_tenant(tenant)

    def clean_subscription(self) -> Any:
        """Refuse more than MAX_CHOSEN."""
        chosen = self.cleaned_data["subscription"]
        if len(chosen) > MAX_CHOSEN:
            raise ValidationError(f"Choose at most {MAX_CHOSEN} subscriptions at a time.")
        return chosen

    def clean_keys(self) -> list[Slot]:
        """Return the slots."""
        return [Slot(name) for name in self.cleaned_data["keys"].split()]
