"""A fingerprint of what a user signs in with, which differs after every change of it."""

from typing import Any, override

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils.crypto import salted_hmac

from portal.accounts.models import User


def credentials_of(user: User) -> str:
    """Return a fingerprint (HMAC-SHA-256, 64 hex digits) of address, password and factors.

    A link, a waiting change of address or the first step of a sign-in is void once one of these
    has changed. The user is taken as given; factors and identities are read from the database.
    """
    factors = Authenticator.objects.filter(user_id=user.pk).order_by("pk")
    identities = SocialAccount.objects.filter(user_id=user.pk).order_by("pk")
    parts = [
        str(user.pk),
        user.email.lower(),
        user.password,
        str(user.session_epoch),
        *(f"factor {pk}" for pk in factors.values_list("pk", flat=True)),
        *(f"identity {pk}" for pk in identities.values_list("pk", flat=True)),
    ]
    return salted_hmac(__name__, "\n".join(parts), algorithm="sha256").hexdigest()


class ResetTokenGenerator(PasswordResetTokenGenerator):
    """Tokens for password resets, which any change of the user's credentials makes invalid."""

    @override
    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{credentials_of(user)}"
