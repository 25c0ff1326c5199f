"""The rows of a file of tenants that operators import."""

from typing import Any, override

from django import forms

from portal.core.actors import Actor
from portal.core.countries import country_choices
from portal.core.email_addresses import EmailAddressFormField
from portal.core.names import NameFormField
from portal.core.refusal import Refused
from portal.operators.importing import Import
from portal.tenants.flows.tenants import open_tenant
from portal.tenants.models import Tenant


class CodeField(forms.TypedChoiceField):
    """One of the codes, in whatever case: spreadsheets write TRUE."""

    @override
    def to_python(self, value: Any) -> str:
        given = super().to_python(value)
        codes: Any = self.choices
        return next((code for code, _ in codes if code.lower() == given.lower()), given)


class TenantRow(forms.Form):
    """One tenant of a file."""

    name = NameFormField(max_length=200, in_mails=True)
    country = CodeField(
        choices=country_choices,
        help_text="three letters, such as USA",
        error_messages={
            "invalid_choice": "%(value)s is not a country code: three letters, such as USA."
        },
    )
    owner_email = EmailAddressFormField(help_text="gets an invitation")
    requires_two_factor = CodeField(
        choices=[("false", "false"), ("true", "true")],
        required=False,
        coerce=lambda value: value == "true",
        help_text="true or false",
        error_messages={"invalid_choice": "%(value)s is neither true nor false."},
    )


def _import(
    *,
    name: str,
    country: str,
    owner_email: str,
    requires_two_factor: Any,
    actor: Actor,
    reason: str,
) -> Tenant:
    """Open a tenant for a row; raises Refused if one of the same name and country exists."""
    tenant = Tenant(name=name, country=country, requires_two_factor=bool(requires_two_factor))
    if Tenant.objects.filter(name__iexact=tenant.name, country=tenant.country).exists():
        raise Refused(f"There is a tenant {tenant} in this country already.")
    return open_tenant(tenant=tenant, owner_email=owner_email, actor=actor, reason=reason)


SAMPLE = (
    ("Northwind Traders", "NLD", "it@northwind.example", "true"),
    ("Adventure Works", "USA", "licenses@adventure-works.example", ""),
)
TENANTS = Import(row=TenantRow, store=_import, sample=SAMPLE)
