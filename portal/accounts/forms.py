"""Forms about one's own account."""

from django import forms

from portal.accounts.models import User


class NameForm(forms.ModelForm):
    """How others see the person."""

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        error_messages = {"name": {"required": "Enter your name."}}
