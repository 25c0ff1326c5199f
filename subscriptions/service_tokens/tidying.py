"""What is removed of service tokens: old ones, and names of people who are gone."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import User
from portal.core.steps import remove_in_steps
from subscriptions.service_tokens.models import ServiceToken

KEPT_FOR = timedelta(days=90)
"""How long a token that has ended is kept; the log tells of it for longer."""


def prune(*, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove tokens that ended more than KEPT_FOR ago; return how many."""
    before = (now or timezone.now()) - KEPT_FOR
    ended = Q(revoked_at__lt=before) | Q(overlap_ends_at__lt=before) | Q(expires_at__lt=before)
    return remove_in_steps(ServiceToken.objects.filter(ended), stopped=stopped)


def forget_maker(instance: User, **_signal: object) -> None:
    """Drop the name of somebody whose account is deleted from the tokens that they made."""
    made = ServiceToken.objects.filter(created_by_id=instance.pk)
    made.update(created_by_id=None, created_by_name="a deleted account")
