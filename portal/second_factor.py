"""Who has a second factor: an authenticator app, a passkey or a security key."""

from uuid import UUID

from allauth.mfa.models import Authenticator


def has_second_factor(user_id: UUID | None) -> bool:
    """Return whether sign-in asks this user for more than a password.

    Recovery codes alone do not count: they stand in for a factor that was lost.
    """
    factors = Authenticator.objects.filter(user=user_id)
    return factors.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()
