"""What the log is narrowed to."""

from typing import Any
from uuid import UUID

from django import forms

from portal.activity import Action
from portal.models import LogEntry, Tenant

DAY = {"type": "date"}


class LogFilterForm(forms.Form):
    """Person, action, subscription and days; empty ones narrow nothing."""

    person = forms.UUIDField(label="Person", required=False)
    action = forms.ChoiceField(
        label="Action", required=False, choices=[("", "Everything"), *Action.choices]
    )
    subscription = forms.UUIDField(
        label="Subscription",
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "Identifier"}),
        error_messages={"invalid": "Enter the whole identifier of a subscription."},
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs=DAY))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs=DAY))

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["person"].widget = forms.Select(choices=self._people(tenant))

    def _people(self, tenant: Tenant) -> list[tuple[str, str]]:
        """Return the members, and whoever else is chosen: somebody who left, or an operator."""
        users = tenant.members.order_by("name", "pk")
        people = {str(user.pk): str(user) for user in users}
        chosen = self.data.get("person", "")
        if chosen and chosen not in people:
            people[chosen] = self._name_in_log(tenant, chosen)
        return [("", "Everybody"), *people.items()]

    def _name_in_log(self, tenant: Tenant, person: str) -> str:
        try:
            rows = LogEntry.objects.for_tenant(tenant).by_actor(UUID(person))
        except ValueError:
            return "Nobody"
        newest = rows.first()
        return newest.actor_name if newest else "Nobody"
