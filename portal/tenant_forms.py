"""Forms about a tenant, its members and invitations."""

from typing import Any

from django import forms

from portal.models import Member, Role, Tenant, country_choices


class ConfirmForm(forms.Form):
    """Nothing to fill in: pressing the button is the answer."""


class TenantForm(forms.ModelForm):
    """Name, country and rules of a tenant."""

    class Meta:
        model = Tenant
        fields = ("name", "country", "requires_two_factor")
        labels = {"requires_two_factor": "Members must sign in with a second factor"}
        help_texts = {"requires_two_factor": ""}
        error_messages = {"name": {"required": "Enter a name."}}
        widgets = {"country": forms.Select}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        country = self.fields["country"]
        country.widget.choices = country_choices()
        country.disabled = self.instance.licenses.exists()
        country.help_text = (
            "Fixed, because license keys hold it."
            if country.disabled
            else "Stands in license keys, and is fixed once they exist."
        )


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label="Email address",
        help_text="We send a link that works for 7 days and for this address only.",
        error_messages={"required": "Enter an email address."},
    )
    role = forms.ChoiceField(label="Role", choices=Role, initial=Role.VIEWER)


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label="Role", choices=Role)


class HandOverForm(forms.Form):
    """Who becomes an owner."""

    to = forms.ModelChoiceField(
        label="New owner",
        queryset=Member.objects.none(),
        empty_label="Choose a member",
        error_messages={"required": "Choose a member."},
    )

    def __init__(self, *args: Any, member: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = member.tenant.memberships.exclude(pk=member.pk).select_related("user")
        self.fields["to"].queryset = others.order_by("user__name", "pk")  # type: ignore[attr-defined]
