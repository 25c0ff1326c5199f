"""What a passkey's answer must say beyond allauth's own checks (WebAuthn Level 3, 7.1 and 7.2)."""

import hashlib
import struct
from datetime import timedelta
from typing import Any, override
from uuid import UUID

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
from django.core import signing
from django.core.cache import cache
from django.core.exceptions import BadRequest, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, JsonResponse
from fido2.utils import websafe_encode
from fido2.webauthn import UserVerificationRequirement

from portal.accounts.allauth_internals import (
    context,
    extract_user_from_response,
    get_server,
    parse_authentication_response,
    parse_registration_response,
)
from portal.accounts.flows.failed_sign_ins import REFUSED_BY_LIMIT, record_failed_sign_in
from portal.accounts.models import PasskeyCredential
from portal.core.locking import lock
from portal.core.names import validate_no_credential
from portal.core.refusal import Refused
from portal.programs.client_address import client_address

MAX_CREDENTIAL = 65_536
"""Characters of an answer; those of real devices have a few thousand."""

MAX_NAME = 100
CHALLENGE = f"{settings.COOKIE_PREFIX}passkey_challenge"
"""Cookie with what a sign-in asked of a passkey: before it there is no session to keep it in."""

CHALLENGE_SALT = "portal.passkeys"
CHALLENGE_LASTS = timedelta(hours=1)
"""Time for an answer: the sign-in page may have been open for a while."""

COUNT = "sign_count"
"""Key of the newest signature count in the data of a passkey, once it was used."""

NOT_ADDED = "The passkey could not be added. Try again, or use another one."
OF_AN_ACCOUNT = "This passkey belongs to an account already."
NOT_CONFIRMED = "The passkey did not confirm that it is you. Try again, or choose another way."

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


def ask_for_sign_in() -> JsonResponse:
    """Return the request options for a sign-in, and keep their challenge in an HttpOnly cookie."""
    options, state = get_server().authenticate_begin(
        credentials=[], user_verification=UserVerificationRequirement.REQUIRED
    )
    response = JsonResponse({"request_options": dict(options)})
    response.set_cookie(
        CHALLENGE,
        signing.dumps(state, salt=CHALLENGE_SALT),
        max_age=CHALLENGE_LASTS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )
    return response


def take_challenge(request: HttpRequest) -> dict[str, Any] | None:
    """Return, once, what the sign-in of this browser asked for; None if there is nothing valid."""
    try:
        state: dict[str, Any] = signing.loads(
            request.COOKIES.get(CHALLENGE, ""), salt=CHALLENGE_SALT, max_age=CHALLENGE_LASTS
        )
    except signing.BadSignature:
        return None
    is_first = cache.add(
        f"passkey_challenge:{state['challenge']}", True, CHALLENGE_LASTS.total_seconds()
    )
    return state if is_first else None


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
    """Return the answer as fido2 reads it.

    Raises BadRequest when it cannot be read, and ValidationError when it was made for another
    origin than PUBLIC_URL or in a frame of another one (WebAuthn Level 3, 7.1 steps 9 to 11).
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


def _in_words(error: ValidationError, sentence: str) -> ValidationError:
    """Return the error; instead of allauth's "Incorrect code." one with the sentence."""
    is_code = getattr(error, "code", None) == "incorrect_code"
    return ValidationError(sentence) if is_code else error


def _check_new(credential: dict[str, Any]) -> None:
    """Raise ValidationError unless the new passkey is of no account yet.

    WebAuthn Level 3, 7.1 step 26. Its identifier is read where it is attested.
    """
    data = _parsed(parse_registration_response, credential).response.attestation_object.auth_data
    if data.credential_data is None:
        raise get_adapter().validation_error("incorrect_code")
    identifier = websafe_encode(data.credential_data.credential_id)
    if credential.get("id") != identifier:
        raise get_adapter().validation_error("incorrect_code")
    passkeys = Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN)
    if passkeys.filter(data__credential__id=identifier).exists():
        raise ValidationError(OF_AN_ACCOUNT)


@receiver(post_save, sender=Authenticator)
def claim_credential(instance: Authenticator, created: bool, **_: Any) -> None:
    """Store whose the credential of a new passkey is.

    Must run in a transaction. Raises Refused when it is of another passkey, which may have been
    stored since the form was checked.
    """
    if not created or instance.type != Authenticator.Type.WEBAUTHN:
        return
    identifier = instance.wrap().authenticator_data.credential_data.credential_id
    sha256 = hashlib.sha256(identifier).hexdigest()
    removed = ~Exists(Authenticator.objects.filter(pk=OuterRef("passkey_id")))
    PasskeyCredential.objects.filter(removed, pk=sha256).delete()
    try:
        with transaction.atomic():
            PasskeyCredential(sha256=sha256, passkey=instance).save(force_insert=True)
    except IntegrityError as error:
        raise Refused(OF_AN_ACCOUNT) from error


class AddPasskeyForm(AddWebAuthnForm):
    """A passkey for sign-in: it is stored on the device, and the device verifies its user."""

    name = forms.CharField(required=False, max_length=MAX_NAME, validators=[validate_no_credential])
    credential = CredentialField()
    passwordless = None  # type: ignore[assignment]
    usual_name = "Passkey"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["name"] = self.usual_name

    @override
    def clean_name(self) -> str:
        return self.cleaned_data["name"] or self.usual_name

    @override
    def clean(self) -> dict[str, Any]:
        credential = (self.cleaned_data or {}).get("credential")
        try:
            if credential:
                _check_new(credential)
            cleaned: dict[str, Any] = super().clean()
        except ValidationError as error:
            raise _in_words(error, NOT_ADDED) from error
        return cleaned


class AddSecurityKeyForm(AddPasskeyForm):
    """A security key for the second step of sign-in: it need not know its user, nor keep anything.

    It is stored as no passkey, whatever the browser says of it.
    """

    usual_name = "Security key"

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if credential := cleaned.get("credential"):
            credential["clientExtensionResults"] = {"credProps": {"rk": False}}
        return cleaned


def is_security_key(factor: Authenticator) -> bool:
    """Return whether this is a second factor alone, and no passkey that signs in by itself."""
    return factor.type == Authenticator.Type.WEBAUTHN and factor.wrap().is_passwordless is False


def security_keys_and_passkeys(user_id: UUID) -> tuple[list[Authenticator], list[Authenticator]]:
    """Return the user's security keys, and the user's passkeys."""
    factors = Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.WEBAUTHN)
    both = list(factors.order_by("pk"))
    return [f for f in both if is_security_key(f)], [f for f in both if not is_security_key(f)]


class _Checked(AuthenticateWebAuthnForm):
    """Our origin exactly, and a count that does not regress (WebAuthn Level 3, 7.2 step 22).

    The device of a passkey verified its user, whatever page asked, unless `must_verify` is off;
    that of a security key need not where `takes_security_keys` is set, and in place of the password
    it is refused. What is refused is recorded as a failed sign-in, by the `way`.
    """

    credential = CredentialField()
    must_verify = True
    takes_security_keys = False
    way: str

    @override
    def clean_credential(self) -> Authenticator:
        try:
            parsed = _parsed(parse_authentication_response, self.cleaned_data["credential"])
            passkey: Authenticator = super().clean_credential()
            data = parsed.response.authenticator_data
            is_key = is_security_key(passkey)
            must_verify = self.must_verify and not (is_key and self.takes_security_keys)
            if (is_key and self.passwordless) or (must_verify and not data.is_user_verified()):
                raise get_adapter().validation_error("incorrect_code")
            if not _use_count(passkey, data.counter):
                raise get_adapter().validation_error("incorrect_code")
        except ValidationError as error:
            self._record_failure(error)
            raise _in_words(error, NOT_CONFIRMED) from error
        except NOT_PARSED as error:
            raise BadRequest("The answer of the passkey cannot be read.") from error
        return passkey

    def _record_failure(self, error: ValidationError) -> None:
        is_limit = getattr(error, "code", None) == "too_many_login_attempts"
        user = self.user or _claimed_user(self.cleaned_data["credential"])
        record_failed_sign_in(
            user=user,
            email=user.email.lower() if user else "",
            way=f"{self.way} ({REFUSED_BY_LIMIT})" if is_limit else self.way,
            address=client_address(context.request),
        )


def _claimed_user(credential: dict[str, Any]) -> Any:
    """Return the user whom the answer names, proven or not, or None."""
    try:
        return extract_user_from_response(credential)
    except NOT_PARSED:
        return None


class SecondStepPasskeyForm(_Checked):
    """At the second step of sign-in."""

    must_verify = False
    way = "passkey at the second step"


class LoginPasskeyForm(_Checked, LoginWebAuthnForm):
    """In place of the password."""

    way = "passkey"


class ProofPasskeyForm(_Checked, ReauthenticateWebAuthnForm):
    """As a proof of identity in a signed-in session; a security key is enough, like a code."""

    takes_security_keys = True
    way = "passkey at a proof"


class RenamePasskeyForm(EditWebAuthnForm):
    """A new name for a passkey."""

    name = forms.CharField(max_length=MAX_NAME, validators=[validate_no_credential])


@transaction.atomic
def _use_count(passkey: Authenticator, count: int) -> bool:
    """Return whether the count is higher than the last one, or both are 0; if so, store it.

    The first one is that of the registration.
    """
    locked = lock(Authenticator, passkey.pk)
    last = locked.data.get(COUNT, locked.wrap().authenticator_data.counter)
    if (count or last) and count <= last:
        return False
    locked.data[COUNT] = count
    locked.save(update_fields=["data"])
    return True
