"""Codes of second factors."""

import time

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

from portal.accounts.allauth_internals import format_hotp_value, hotp_value
from portal.accounts.models import User
from tests.support.accounts import TOTP_SECRET


def totp_code(secret: str = TOTP_SECRET, *, at: float | None = None) -> str:
    """Return what an authenticator app shows, `at` seconds since 1970 (now)."""
    return format_hotp_value(hotp_value(secret, int(time.time() if at is None else at) // 30))


def make_recovery_codes(user: User) -> list[str]:
    """Give the user recovery codes and return them."""
    return RecoveryCodes.activate(user).get_unused_codes()
