"""Forms about one's own account."""

from typing import Any, override

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.forms import AddEmailForm, LoginForm
from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import ResetPasswordKeyForm as AllauthResetPasswordKeyForm
from allauth.account.forms import SetPasswordForm as AllauthSetPasswordForm
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from django import forms
from django.core.validators import MaxLengthValidator
from django.db import transaction
from django.http import HttpRequest

from portal.accounts.allauth_internals import (
    SECRET_SESSION_KEY,
    context,
    decrypt,
    encrypt,
    generate_totp_secret,
    ratelimit,
)
from portal.accounts.devices import known_device
from portal.accounts.flows.accounts import address_in_use
from portal.accounts.flows.email_change import ask_email_change
from portal.accounts.flows.failed_sign_ins import (
    CODE_AT_PROOF,
    CODE_AT_SECOND_STEP,
    PASSWORD_AT_CHANGE,
    REFUSED_BY_LIMIT,
    record_failed_sign_in,
)
from portal.accounts.flows.second_step import tell_second_step_blocked
from portal.accounts.models import User
from portal.accounts.requests import actor_of, signed_in_user
from portal.accounts.totp import step_of, use_code
from portal.programs.client_address import client_address
from portal.web.time_zones import places

PASSWORD_RULE = (
    "At least 10 characters, not easy to guess, "  # noqa: S105 (a hint)
    "and not like your name or address."
)
"""What AUTH_PASSWORD_VALIDATORS ask for, in one sentence for every form."""

PASSWORD_LABELS = {
    "oldpassword": "Current password",
    "password1": "New password",
    "password2": "New password, again",
}

MAX_PASSWORD = 4096


class _PlainForm(forms.Form):
    """A form of allauth's without placeholders, which only repeat the labels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


class _NewPasswordForm(_PlainForm):
    """What the forms that give an account a password share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in PASSWORD_LABELS.items():
            if name in self.fields:
                self.fields[name].label = label
        field = self.fields["password1"]
        assert isinstance(field, forms.CharField)
        field.help_text = PASSWORD_RULE
        field.validators.append(MaxLengthValidator(MAX_PASSWORD))


class ChangePasswordForm(_NewPasswordForm, AllauthChangePasswordForm):
    """Another password, by the current one; a wrong one is recorded as a failed sign-in."""

    @override
    def clean_oldpassword(self) -> str:
        try:
            old: str = super().clean_oldpassword()
        except forms.ValidationError:
            user = signed_in_user(context.request)
            record_failed_sign_in(
                user=user,
                email=user.email.lower(),
                way=PASSWORD_AT_CHANGE,
                address=client_address(context.request),
            )
            raise
        return old


class SetPasswordForm(_NewPasswordForm, AllauthSetPasswordForm):
    """A first password."""


class ResetPasswordForm(_NewPasswordForm, AllauthResetPasswordKeyForm):
    """A new password, by a mailed link."""


class AskResetForm(_PlainForm, AllauthResetPasswordForm):
    """The address to which the link to choose a new password is sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "Email address"


class SignInForm(_PlainForm, LoginForm):
    """allauth's form, which accepts either spelling of an address's domain.

    Browsers suggest passkeys in its email field (HTML, autofill detail tokens: "webauthn").
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "Email address"
        self.fields["login"].widget.attrs["autocomplete"] = "username webauthn"

    @override
    def clean_login(self) -> str:
        return address_in_use(super().clean_login())


class ProfileForm(forms.ModelForm):
    """The name that others see, and the zone of the times that the person sees."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        choices=lambda: [("", "The browser’s zone"), ("UTC", "UTC"), *places()],
        help_text="Pages and mails show times in this zone; mails name UTC beside it.",
    )

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
        error_messages = {"name": {"required": "Enter your name."}}


class ChangeEmailForm(_PlainForm, AddEmailForm):
    """Another address to sign in with; the current one is notified and can stop the change."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        email = self.fields["email"]
        email.label = "New address"
        email.help_text = (
            "It gets a link, and counts once you have opened it. The current address gets a notice."
        )

    @override
    @transaction.atomic
    def save(self, request: HttpRequest) -> EmailAddress:
        address: EmailAddress = super().save(request)
        ask_email_change(user=signed_in_user(request), email=address.email, actor=actor_of(request))
        return address


class CodeForm(_PlainForm, AuthenticateForm):
    """A code of the authenticator app, or a recovery code: each works once.

    Wrong codes are counted for the account; a browser that has signed in to it before has a count
    of its own, so that somebody else who knows the password cannot lock the owner out.
    """

    way = CODE_AT_SECOND_STEP

    @override
    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        usage = self._counted()
        factors = Authenticator.objects.filter(user=self.user).exclude(
            type=Authenticator.Type.WEBAUTHN
        )
        by_type = {factor.type: factor for factor in factors}
        app = by_type.get(Authenticator.Type.TOTP)
        codes = by_type.get(Authenticator.Type.RECOVERY_CODES)
        if app is not None and use_code(app, code):
            self.authenticator = app
        elif codes is not None and codes.wrap().validate_code(code):
            self.authenticator = codes
        else:
            if main := app or codes:
                self._emit_authentication_failed(main)
            raise get_mfa_adapter().validation_error("incorrect_code")
        self.authenticator.user = self.user
        usage.rollback()
        return code

    def _counted(self) -> Any:
        """Count the attempt and return it; raises ValidationError when there were too many."""
        request = context.request
        device = known_device(request, self.user.email)
        usage = ratelimit.consume(
            request,
            app="allauth.account",
            action="second_step_known_device" if device else "second_step",
            key=f"{device or ''} {self.user.pk}",
        )
        if not usage:
            address = client_address(request)
            tell_second_step_blocked(user=self.user, address=address)
            record_failed_sign_in(
                user=self.user,
                email=self.user.email.lower(),
                way=f"{self.way} ({REFUSED_BY_LIMIT})",
                address=address,
            )
            raise get_account_adapter().validation_error("too_many_login_attempts")
        return usage


class ProofCodeForm(CodeForm, ReauthenticateForm):
    """The same, as a proof of identity in a signed-in session."""

    way = CODE_AT_PROOF


class ActivateAppForm(forms.Form):
    """The first code of a new authenticator app; the secret waits encrypted in the session."""

    code = forms.CharField(
        label="Authenticator code",
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        session = context.request.session
        if not self.is_bound or SECRET_SESSION_KEY not in session:
            session[SECRET_SESSION_KEY] = encrypt(generate_totp_secret())
        self.secret = decrypt(session[SECRET_SESSION_KEY])
        self.step = 0

    def clean_code(self) -> str:
        """Keep the step of the code, which must not work again."""
        code: str = self.cleaned_data["code"]
        step = step_of(self.secret, code)
        if step is None:
            raise get_mfa_adapter().validation_error("incorrect_code")
        self.step = step
        return code
