"""Who has a second factor: an authenticator app, a passkey or a security key."""

from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst

from portal.accounts.allauth_internals import get_authentication_records
from portal.accounts.models import User
from portal.accounts.passkeys import is_security_key


def second_factors() -> QuerySet[Authenticator]:
    """Return the second factors of all users.

    Recovery codes are none: they stand in for a factor that was lost.
    """
    return Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)


def has_second_factor(user_id: UUID | None) -> bool:
    """Return whether sign-in asks this user for more than a password."""
    return second_factors().filter(user=user_id).exists()


def in_words(user_id: UUID) -> str:
    """Return what the user has, such as "Authenticator app, 6 recovery codes left", or "None"."""
    factors = list(Authenticator.objects.filter(user=user_id))
    kinds = Authenticator.Type
    keys = [is_security_key(f) for f in factors if f.type == kinds.WEBAUTHN]
    codes = [f for f in factors if f.type == kinds.RECOVERY_CODES]
    words = [
        "authenticator app" if any(f.type == kinds.TOTP for f in factors) else "",
        _counted(keys.count(False), "passkey"),
        _counted(keys.count(True), "security key"),
    ]
    if codes:
        left = len(codes[0].wrap().get_unused_codes())
        words.append(f"{_counted(left, 'recovery code') or 'no recovery codes'} left")
    return capfirst(", ".join(word for word in words if word)) or "None"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def proof_page(user: User) -> str:
    """Return the name of the page that asks the user for a proof with the factor they have."""
    totp = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP)
    return "mfa_reauthenticate" if totp.exists() else "mfa_reauthenticate_webauthn"


def is_two_factor_session(request: HttpRequest) -> bool:
    """Return whether this session was proven with a second factor that the user still has."""
    if not hasattr(request, "is_two_factor"):  # asked several times for one page
        request.is_two_factor = _is_two_factor(request)  # type: ignore[attr-defined]
    return bool(request.is_two_factor)  # type: ignore[attr-defined]


def _is_two_factor(request: HttpRequest) -> bool:
    user = request.user
    if not isinstance(user, User):
        return False
    records = get_authentication_records(request, user)
    used = [record["id"] for record in records if record["method"] == "mfa"]
    return bool(used) and Authenticator.objects.filter(user_id=user.pk, pk__in=used).exists()
