"""Forms about a tenant, its members and invitations."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from portal.models import Invitation, Member, Role, Tenant, User, country_choices


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


class JoinForm(forms.Form):
    """Name and password of a person without account who accepts an invitation."""

    name = forms.CharField(
        label="Your name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": "Enter your name."},
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 10 characters, and none that are easy to guess.",
        error_messages={"required": "Choose a password."},
    )

    def __init__(self, *args: Any, invitation: Invitation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation

    def clean(self) -> dict[str, Any]:
        """Judge the password, together with the name and the address."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        person = User(email=self.invitation.email, name=cleaned.get("name", ""))
        if "password" in cleaned:
            try:
                validate_password(cleaned["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned
