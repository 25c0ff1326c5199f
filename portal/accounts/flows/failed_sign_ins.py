"""Failed sign-ins: in the tenants' logs for people who are known, else in the process log."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from portal.accounts.flows.accounts import record_for_person
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind

logger = logging.getLogger("portal.sign_in")

MAX_AN_HOUR = 10
"""Rows for one person in an hour: strangers must not fill a tenant's log."""

CODE_AT_SECOND_STEP = "code at the second step"
CODE_AT_PROOF = "code at a proof"
PASSWORD_AT_CHANGE = "password at its change"  # noqa: S105 (a way)
PROVIDER_AT_PROOF = "identity provider at a proof"
DEACTIVATED = "deactivated"
"""Stands in the way of an attempt at an account whose person may not sign in."""

CHANGED_MEANWHILE = "changed between its steps"
"""Stands in the way of a sign-in whose credentials changed before its last step."""

REFUSED_BY_LIMIT = "too many attempts"
"""Stands in the way of an attempt that nobody judged any more."""


@transaction.atomic
def record_failed_sign_in(
    *, user: User | None, email: str, way: str, address: str, now: datetime | None = None
) -> None:
    """Record a failed sign-in: the account, the method (`way`) and the network address."""
    now = now or timezone.now()
    recent = LogEntry.objects.of_action(Action.SIGN_IN_FAILED).filter(
        at__gt=now - timedelta(hours=1), details__account=email
    )
    if user is None or recent.count() >= MAX_AN_HOUR:
        account = user.pk if user else "unknown"  # what was typed may be anything, or a password
        logger.warning("Sign-in failed: account=%s way=%r from=%r", account, way, address)
        return
    record_for_person(
        user=user,
        actor=Actor(kind=ActorKind.SYSTEM, name="Somebody at sign-in", address=address),
        action=Action.SIGN_IN_FAILED,
        details={"account": email, "way": way},
    )
