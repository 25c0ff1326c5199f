"""Signals of allauth that become rows of the log: sign-in, and what people sign in with.

allauth has already stored a change when it sends the signal, so these rows have transactions of
their own. Rows about failed attempts are limited: strangers could fill the log.
"""

import time
from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.socialaccount import signals as identity
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest

from portal.accounts.flows.accounts import record_for_person
from portal.accounts.flows.email_change import end_what_waits, revoke_email_change
from portal.accounts.flows.failed_sign_ins import (
    CODE_AT_PROOF,
    CODE_AT_SECOND_STEP,
    record_failed_sign_in,
)
from portal.accounts.flows.second_step import tell_recovery_code_used
from portal.accounts.models import User
from portal.accounts.passkeys import is_security_key
from portal.accounts.requests import ways_used
from portal.accounts.sessions import STARTED
from portal.activity.actions import Action
from portal.programs.client_address import client_address

ADDED = {
    Authenticator.Type.TOTP: Action.TWO_FACTOR_ON,
    Authenticator.Type.WEBAUTHN: Action.PASSKEY_ADDED,
    Authenticator.Type.RECOVERY_CODES: Action.RECOVERY_CODES_MADE,
}
REMOVED = {
    Authenticator.Type.TOTP: Action.TWO_FACTOR_OFF,
    Authenticator.Type.WEBAUTHN: Action.PASSKEY_REMOVED,
    Authenticator.Type.RECOVERY_CODES: Action.RECOVERY_CODES_REMOVED,
}


def _record(request: HttpRequest, user: User, action: Action, **details: object) -> None:
    with transaction.atomic():
        record_for_person(
            user=user,
            actor=user.as_actor(client_address(request)),
            action=action,
            details=details,
        )


@receiver(user_logged_in)
def session_started(request: HttpRequest, **_: Any) -> None:
    """Store in the session when it began, because it ends at a greatest age."""
    request.session[STARTED] = time.time()


@receiver(account.user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Record a sign-in and the methods used; the row's address says from where."""
    _record(request, user, Action.SIGNED_IN, how=ways_used(request, user))


@receiver(mfa.authentication_failed)
def second_step_failed(
    request: HttpRequest, user: User, reauthentication: bool = False, **_: Any
) -> None:
    """Record a wrong code at the second step of sign-in, or at a proof of identity."""
    way = CODE_AT_PROOF if reauthentication else CODE_AT_SECOND_STEP
    record_failed_sign_in(
        user=user, email=user.email.lower(), way=way, address=client_address(request)
    )


@receiver([account.password_changed, account.password_set, account.password_reset])
def password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    """Record that a password was changed, reset, or set for the first time."""
    _record(request, user, Action.PASSWORD_CHANGED)
    end_what_waits(user=user)


@receiver(account.email_changed)
def email_changed(
    request: HttpRequest, user: User, from_email_address: Any, to_email_address: Any, **_: Any
) -> None:
    """Record a verified change of the email address."""
    before = from_email_address.email if from_email_address else ""
    after = to_email_address.email
    details = {"before": {"email": before}, "after": {"email": after}}
    _record(request, user, Action.EMAIL_CHANGED, **details)
    end_what_waits(user=user)


@receiver([mfa.authenticator_added, mfa.authenticator_reset])
def factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Record a new second factor, or new recovery codes."""
    is_key = is_security_key(authenticator)
    action = Action.SECURITY_KEY_ADDED if is_key else ADDED[Authenticator.Type(authenticator.type)]
    _record(request, user, action)
    end_what_waits(user=user)


@receiver(mfa.authenticator_used)
def factor_used(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Record and mail the use of a recovery code; other factors are recorded at sign-in."""
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        authenticator.refresh_from_db(fields=["data"])
        left = len(authenticator.wrap().get_unused_codes())
        tell_recovery_code_used(user=user, left=left, address=client_address(request))
        _record(request, user, Action.RECOVERY_CODE_USED, left=left)


@receiver(mfa.authenticator_removed)
def factor_removed(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    """Record that a second factor, or the recovery codes, were removed."""
    is_key = is_security_key(authenticator)
    kind = Authenticator.Type(authenticator.type)
    _record(request, user, Action.SECURITY_KEY_REMOVED if is_key else REMOVED[kind])
    end_what_waits(user=user)


@receiver(identity.social_account_added)
def identity_connected(request: HttpRequest, sociallogin: Any, **_: Any) -> None:
    """Record that the person can now sign in at an identity provider."""
    provider = sociallogin.account.provider
    _record(request, sociallogin.user, Action.IDENTITY_CONNECTED, provider=provider)
    end_what_waits(user=sociallogin.user)


@receiver(identity.social_account_removed)
def identity_disconnected(request: HttpRequest, socialaccount: Any, **_: Any) -> None:
    """Record that the person can no longer sign in at an identity provider."""
    provider = socialaccount.provider
    _record(request, socialaccount.user, Action.IDENTITY_DISCONNECTED, provider=provider)
    end_what_waits(user=socialaccount.user)


@receiver(account.email_removed)
def email_change_cancelled(request: HttpRequest, user: User, **_: Any) -> None:
    """Stop the change whose new address was removed in the profile."""
    change = user.email_changes.waiting().first()
    if change is not None:
        revoke_email_change(change=change, actor=user.as_actor(client_address(request)))
