"""Removal of expired sessions, which the worker does."""

from collections.abc import Callable
from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone

from portal.core.steps import remove_in_steps

SETTLED = timedelta(hours=1)
"""Age of a listed session from which it must also be stored: the two are not written at once."""


def clear(*, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove expired sessions and their rows in lists of sessions; return how many sessions.

    Each step is a short transaction, so that nobody waits for it; `stopped` is called in between.
    """
    now = now or timezone.now()
    expired = Session.objects.filter(expire_date__lt=now).order_by("expire_date")
    removed = remove_in_steps(expired, stopped=stopped)
    is_there = Exists(Session.objects.filter(pk=OuterRef("session_key")))
    gone = UserSession.objects.filter(~is_there, created_at__lt=now - SETTLED).order_by("pk")
    remove_in_steps(gone, stopped=stopped)
    return removed
