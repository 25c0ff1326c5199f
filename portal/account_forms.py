"""Forms about one's own account."""

from typing import Any

from allauth.socialaccount.models import SocialLogin
from django import forms
from django.contrib.auth.password_validation import validate_password

from portal.models import Tenant, User, country_choices, validate_tenant_name


class SignUpForm(forms.Form):
    """The address that a link is sent to."""

    email = forms.EmailField(
        label="Email address",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        error_messages={"required": "Enter your email address."},
    )


class JoinForm(forms.Form):
    """Name and password of a new person, or their name alone when a provider signs them in."""

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

    def __init__(
        self, *args: Any, email: str, pending: SocialLogin | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.email = email
        if pending is not None:
            del self.fields["password"]
            claims = pending.account.extra_data["id_token"]
            self.fields["name"].initial = str(claims.get("name", ""))[:150]

    def clean(self) -> dict[str, Any]:
        """Judge the password, together with the name and the address."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        person = User(email=self.email, name=cleaned.get("name", ""))
        if "password" in cleaned:
            try:
                validate_password(cleaned["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return {"password": None, **cleaned}


class NewAccountForm(JoinForm):
    """A new person and the tenant that they will own."""

    tenant_name = forms.CharField(
        label="Name of your organization",
        max_length=Tenant._meta.get_field("name").max_length,
        validators=[validate_tenant_name],
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
        help_text="The name of your tenant. Without an organization, your own name does.",
        error_messages={"required": "Enter a name."},
    )
    country = forms.ChoiceField(
        label="Country",
        choices=lambda: [("", "Choose a country"), *country_choices()],
        help_text="Stands in license keys, and is fixed once they exist.",
        error_messages={"required": "Choose a country."},
    )
    field_order = ("name", "password", "tenant_name", "country")


class NameForm(forms.ModelForm):
    """How others see the person."""

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        error_messages = {"name": {"required": "Enter your name."}}
