"""The end of all sessions of a user."""

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import F

from portal.accounts.models import User


def end_all_sessions(*, user: User) -> list[str]:
    """End every session of the user; return the address and browser of those that are listed.

    Must run in a transaction. The new epoch also ends sessions that are not listed.
    """
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])
    sessions = list(UserSession.objects.filter(user=user).order_by("created_at"))
    Session.objects.filter(session_key__in=[row.session_key for row in sessions]).delete()
    UserSession.objects.filter(pk__in=[row.pk for row in sessions]).delete()
    return [f"{row.ip}: {row.user_agent[:100]}" for row in sessions]
