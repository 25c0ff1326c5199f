"""What a passkey's answer must say beyond allauth's own checks (WebAuthn Level 3, 7.1 and 7.2)."""

import struct
from typing import Any, override

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.conf import settings
from django.core.exceptions import BadRequest, ValidationError
from django.db import transaction

from portal.accounts.allauth_internals import (
    parse_authentication_response,
    parse_registration_response,
)
from portal.core.locking import lock

MAX_CREDENTIAL = 65_536
"""Characters of an answer; those of real devices have a few thousand."""

MAX_NAME = 100

COUNT = "sign_count"
"""Key of the newest signature count in the data of a passkey."""

NOT_PARSED = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValidationError,
    ValueError,
    struct.error,
)
"""What the parsers raise for malformed JSON and CBOR."""


class CredentialField(forms.JSONField):
    """The JSON from the browser; anything else is answered with 400."""

    widget = forms.HiddenInput

    @override
    def to_python(self, value: Any) -> Any:
        try:
            if isinstance(value, str) and len(value) > MAX_CREDENTIAL:
                raise BadRequest("The answer of the passkey is too long.")
            parsed = super().to_python(value)
        except (ValidationError, RecursionError) as error:
            raise BadRequest("The answer of the passkey is no JSON.") from error
        if parsed is not None and not isinstance(parsed, dict):
            raise BadRequest("The answer of the passkey is no object.")
        return parsed


def _parsed(parse: Any, credential: dict[str, Any]) -> Any:
    """Return the answer, parsed by fido2.

    Raises BadRequest when it is malformed, ValidationError when it is for another origin.
    """
    try:
        parsed = parse(credential)
        client_data = parsed.response.client_data
        handle = credential["response"].get("userHandle")
        is_whole = isinstance(client_data.origin, str) and isinstance(handle, str | None)
    except NOT_PARSED as error:
        raise BadRequest("The answer of the passkey cannot be read.") from error
    if not is_whole:
        raise BadRequest("The answer of the passkey cannot be read.")
    if client_data.origin != settings.PUBLIC_URL or client_data.cross_origin:
        raise get_adapter().validation_error("incorrect_code")
    return parsed


class AddPasskeyForm(AddWebAuthnForm):
    """A passkey for sign-in: it is stored on the device, and the device verifies its user."""

    name = forms.CharField(required=False, max_length=MAX_NAME)
    credential = CredentialField()
    passwordless = None  # type: ignore[assignment]

    @override
    def clean(self) -> dict[str, Any]:
        credential = (self.cleaned_data or {}).get("credential")
        if credential:
            data = _parsed(parse_registration_response, credential).response.attestation_object
            if data.auth_data.credential_data is None or not data.auth_data.is_user_verified():
                raise get_adapter().validation_error("incorrect_code")
            passkeys = Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN)
            if passkeys.filter(data__credential__id=credential.get("id")).exists():
                raise ValidationError("This passkey belongs to an account already.")
        cleaned: dict[str, Any] = super().clean()
        return cleaned


class _Checked(AuthenticateWebAuthnForm):
    """Accepts our exact origin and a higher count only (WebAuthn Level 3, 7.2 step 22)."""

    credential = CredentialField()

    @override
    def clean_credential(self) -> Authenticator:
        parsed = _parsed(parse_authentication_response, self.cleaned_data["credential"])
        try:
            passkey: Authenticator = super().clean_credential()
        except NOT_PARSED as error:
            if isinstance(error, ValidationError):
                raise
            raise BadRequest("The answer of the passkey cannot be read.") from error
        if not _use_count(passkey, parsed.response.authenticator_data.counter):
            raise get_adapter().validation_error("incorrect_code")
        return passkey


class SecondStepPasskeyForm(_Checked):
    """At the second step of sign-in."""


class LoginPasskeyForm(_Checked, LoginWebAuthnForm):
    """In place of the password."""


class ProofPasskeyForm(_Checked, ReauthenticateWebAuthnForm):
    """As a proof of identity in a signed-in session."""


class RenamePasskeyForm(EditWebAuthnForm):
    """A new name for a passkey."""

    name = forms.CharField(max_length=MAX_NAME)


@transaction.atomic
def _use_count(passkey: Authenticator, count: int) -> bool:
    """Return whether the count is higher than the last one, or both are 0; if so, store it."""
    locked = lock(Authenticator, passkey.pk)
    last = locked.data.get(COUNT, 0)
    if (count or last) and count <= last:
        return False
    locked.data[COUNT] = count
    locked.save(update_fields=["data"])
    return True
