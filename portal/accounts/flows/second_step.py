"""Mails to people about the second step of their sign-in."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.mail import outbox


@transaction.atomic
def tell_second_step_blocked(*, user: User, address: str, now: datetime | None = None) -> None:
    """Mail the user, once an hour, that too many wrong codes were entered after their password."""
    now = now or timezone.now()
    outbox.queue(
        to=user.email,
        subject="Wrong codes at your sign-in",
        template="second_step_blocked",
        context={"address": address},
        once=f"second step {user.pk} {now:%Y-%m-%d %H}",
    )


@transaction.atomic
def tell_recovery_code_used(*, user: User, left: int, address: str) -> None:
    """Mail the user that a recovery code was used, from where, and how many are left."""
    outbox.queue(
        to=user.email,
        subject="A recovery code was used",
        template="recovery_code_used",
        context={"left": left, "address": address},
    )
