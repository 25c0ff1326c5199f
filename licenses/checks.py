"""System check of the signing key's age."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db.utils import DatabaseError
from django.utils import timezone

from licenses.models import SigningKey, SigningKeyState
from subscriptions.models import DAYS, BillingPeriod

MAX_AGE = timedelta(days=180)
MAX_LICENSE = timedelta(days=DAYS[BillingPeriod.YEARLY])
HINT = "Run `manage.py rotate_signing_key`, and again when the new key was published long enough."


@register(Tags.database)
def signing_key_is_young(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn when the active signing key should be rotated."""
    if not databases:
        return []
    try:
        active = SigningKey.objects.filter(state=SigningKeyState.ACTIVE).first()
    except DatabaseError:  # before the first migrate
        return []
    return [] if active is None else warnings_of(active)


def warnings_of(signing_key: SigningKey) -> list[CheckMessage]:
    """Return why the active signing key should be rotated; empty while it is young enough."""
    now, found = timezone.now(), list[CheckMessage]()
    if signing_key.activated_at and now - signing_key.activated_at > MAX_AGE:
        sentence = f"The active signing key is older than {MAX_AGE.days} days."
        found.append(checks.Warning(sentence, hint=HINT, id="licenses.W001"))
    if signing_key.valid_until < now + MAX_LICENSE:
        found.append(
            checks.Warning(
                "The certificate of the active signing key ends before a yearly license that was "
                "signed today would: such licenses are refused.",
                hint=HINT,
                id="licenses.W002",
            )
        )
    return found
