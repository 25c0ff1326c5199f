"""Forms about one's own account."""

from typing import override

from allauth.account.forms import LoginForm
from django import forms

from portal.accounts.flows.accounts import address_in_use
from portal.accounts.models import User


class SignInForm(LoginForm):
    """allauth's form, which takes either spelling of an address's domain."""

    @override
    def clean_login(self) -> str:
        return address_in_use(super().clean_login())


class NameForm(forms.ModelForm):
    """How others see the person."""

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        error_messages = {"name": {"required": "Enter your name."}}
