"""The rows of a file of subscriptions that operators import."""

from difflib import get_close_matches
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q

from portal.core.dates import MomentFormField
from portal.core.email_addresses import EmailAddressFormField, same
from portal.core.names import NameFormField
from portal.core.numbers import is_key
from portal.core.refusal import Refused
from portal.operators.importing import Import
from portal.tenants.models import Member, Role, Tenant
from subscriptions.flows.add import add_subscription
from subscriptions.models import Plan, Subscription


class TenantField(forms.ModelChoiceField):
    """A tenant by its identifier, else by its name or by an owner's address, if one has it."""

    @override
    def to_python(self, value: Any) -> Tenant | None:
        text = str(value or "").strip()
        if not text or is_key(Tenant, text):
            found: Tenant | None = super().to_python(text)
            return found
        owners = Member.objects.filter(role=Role.OWNER).filter(same("user__email", text))
        owned = owners.values("tenant")
        matching = list(Tenant.objects.filter(Q(name__iexact=text) | Q(pk__in=owned))[:2])
        if not matching:
            raise ValidationError(f"There is no tenant {text}.")
        if len(matching) > 1:
            raise ValidationError(f"Several tenants fit {text}: write the identifier of one.")
        return matching[0]


class PlanField(forms.ModelChoiceField):
    """A plan by its code; for a wrong one the code that it is most like."""

    @override
    def to_python(self, value: Any) -> Plan | None:
        try:
            found: Plan | None = super().to_python(value)
        except ValidationError as error:
            codes = Plan.objects.offered().values_list("code", flat=True)
            near = get_close_matches(str(value).lower(), list(codes), n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValidationError(f"There is no plan with the code {value}.{hint}") from error
        return found


class SubscriptionRow(forms.Form):
    """One subscription of a file."""

    tenant = TenantField(
        Tenant.objects.all(),
        help_text="its identifier, its name or the address of its owner",
        error_messages={"invalid_choice": "There is no tenant with the identifier %(value)s."},
    )
    plan = PlanField(
        Plan.objects.all(), to_field_name="code", help_text="its code, such as smb-yearly"
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
