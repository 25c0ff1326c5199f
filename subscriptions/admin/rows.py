"""The rows of a file of subscriptions that operators import."""

from typing import Any

from django import forms

from portal.core.dates import MomentFormField
from portal.core.email_addresses import EmailAddressFormField
from portal.core.names import NameFormField
from portal.core.refusal import Refused
from portal.operators.importing import Import
from portal.tenants.models import Tenant
from subscriptions.flows.add import add_subscription
from subscriptions.models import Plan, Subscription


class SubscriptionRow(forms.Form):
    """One subscription of a file."""

    tenant = forms.ModelChoiceField(
        Tenant.objects.all(),
        help_text="its identifier",
        error_messages={"invalid_choice": "There is no tenant with the identifier %(value)s."},
    )
    plan = forms.ModelChoiceField(
        Plan.objects.all(),
        to_field_name="code",
        help_text="its code, such as smb-yearly",
        error_messages={
            "invalid_choice": "There is no plan with the code %(value)s: see the list of plans."
        },
    )
    name = NameFormField(max_length=200)
    starts_at = MomentFormField(
        required=False,
        help_text="a day such as 2027-01-31, whose beginning in UTC it means, or a moment such as "
        "2027-01-31T12:00:00Z; empty: now",
    )
    ends_at = MomentFormField(
        required=False,
        ends_day=True,
        help_text="a day, whose end in UTC it means (23:59:59), or a moment; empty: no end",
    )
    beneficiary_email = EmailAddressFormField(required=False)


def _import(*, tenant: Tenant, actor: Any, reason: str, **columns: Any) -> Subscription:
    """Add a subscription; raises Refused if one with its name, plan and tenant exists."""
    given = {name: value for name, value in columns.items() if value}
    subscription = Subscription(tenant=tenant, beneficiary_tenant_id=tenant.pk, **given)
    same = tenant.subscriptions.filter(name=subscription.name, plan=subscription.plan)
    if same.exists():
        raise Refused(f"The tenant has a subscription {subscription} of this plan already.")
    return add_subscription(subscription=subscription, actor=actor, reason=reason)


TENANT = "00000000-0000-0000-0000-000000000000"
"""In place of an identifier, which the dry run refuses until it is filled in."""

SAMPLE = (
    (TENANT, "smb-yearly", "Shop analytics", "2027-01-01", "2027-12-31", "it@northwind.example"),
    (TENANT, "community", "Research cluster", "", "", ""),
)
SUBSCRIPTIONS = Import(row=SubscriptionRow, store=_import, sample=SAMPLE)
