"""Codes of authenticator apps: each works once, and at most one step late (RFC 6238 5.2)."""

import time

from allauth.mfa.models import Authenticator
from django.db import transaction

from portal.accounts.allauth_internals import (
    compare_user_code,
    decrypt,
    format_hotp_value,
    hotp_value,
)
from portal.core.locking import lock

STEP_SECONDS = 30

LAST_STEP = "last_step"
"""Key of the newest step whose code was used, in the data of an authenticator app."""


def step_of(secret: str, code: str, *, now: float | None = None) -> int | None:
    """Return the code's step (Unix time over 30 s), the current or the last one, or None."""
    current = int(time.time() if now is None else now) // STEP_SECONDS
    for step in (current, current - 1):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step))):
            return step
    return None


@transaction.atomic
def use_code(app: Authenticator, code: str, *, now: float | None = None) -> bool:
    """Return whether the code is valid and newer than all used ones; if so, mark it as used."""
    locked = lock(Authenticator, app.pk)
    step = step_of(decrypt(locked.data["secret"]), code, now=now)
    if step is None or step <= locked.data.get(LAST_STEP, 0):
        return False
    locked.data[LAST_STEP] = step
    locked.save(update_fields=["data"])
    return True
