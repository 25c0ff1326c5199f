"""Forms about one's own account."""

from typing import override

from allauth.account.forms import AddEmailForm
from allauth.account.models import EmailAddress
from django import forms
from django.db import transaction
from django.http import HttpRequest

from portal.accounts.flows.email_change import ask_email_change
from portal.accounts.models import User
from portal.accounts.requests import actor_of, signed_in_user


class NameForm(forms.ModelForm):
    """How others see the person."""

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        error_messages = {"name": {"required": "Enter your name."}}


class ChangeEmailForm(AddEmailForm):
    """Another address to sign in with; the current one is told, and may stop it."""

    @override
    @transaction.atomic
    def save(self, request: HttpRequest) -> EmailAddress:
        address: EmailAddress = super().save(request)
        ask_email_change(user=signed_in_user(request), email=address.email, actor=actor_of(request))
        return address
