"""How long sessions last, and when each was last used.

A session ends when it was unused for the idle time, and at its greatest age in any case. Its use is
noted at most once a minute and as a best effort: no page waits for that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from portal.accounts.models import User
from portal.programs.client_address import client_address

STARTED = "started_at"
"""Session key of the time of sign-in (Unix time, in seconds)."""

NOTED_EVERY = timedelta(minutes=1)

MAX_IN_USE = 1_000
"""Rows of sessions that a process remembers."""

_in_use: dict[str, UserSession] = {}


def is_over(
    session: SessionBase | dict[str, Any], user: User, row: UserSession | None, now: datetime
) -> bool:
    """Return whether the session was idle for too long, or is too old."""
    idle, age = (
        timedelta(hours=settings.SESSION_IDLE_HOURS),
        timedelta(hours=settings.SESSION_HOURS),
    )
    if user.is_staff:
        limit = timedelta(hours=settings.OPERATOR_SESSION_HOURS)
        idle, age = min(idle, limit), min(age, limit)
    noted = session.get(STARTED)
    if noted is None and row is None:  # of an earlier release, and not listed
        return True
    started = datetime.fromtimestamp(noted, now.tzinfo) if noted else row.created_at  # type: ignore[union-attr]
    last = row.last_seen_at if row is not None else started
    return now - started >= age or now - last >= idle


def recorded(request: HttpRequest, now: datetime) -> UserSession | None:
    """Return the session's row in the list of sessions, if it has one.

    Until its use has to be noted again, a process does not read it again: nothing else changes.
    """
    key = str(request.session.session_key)
    row = _in_use.get(key)
    if row is None or now - row.last_seen_at >= NOTED_EVERY:
        row = UserSession.objects.filter(session_key=key).first()
        if row is not None:
            _remember(row)
    return row


def _remember(row: UserSession) -> None:
    if len(_in_use) >= MAX_IN_USE:
        _in_use.clear()
    _in_use[row.session_key] = row


def end(request: HttpRequest) -> None:
    """Sign the user out of a session that is over, also while the database is busy.

    Its row stays then: it is over at the next request too, and the worker removes it in the end.
    """
    with without_waiting(), transaction.atomic():
        logout(request)
    request.session = type(request.session)()
    request.user = AnonymousUser()


def renew(request: HttpRequest) -> None:
    """Give the session another key, and its row in the list of sessions with it."""
    rows = UserSession.objects.filter(session_key=request.session.session_key)
    ids = list(rows.values_list("pk", flat=True))
    request.session.cycle_key()
    UserSession.objects.filter(pk__in=ids).update(session_key=request.session.session_key)


def of(user: User, now: datetime) -> list[UserSession]:
    """Return the user's sessions that are not over, the oldest first.

    Those of earlier credentials are over, too. Nothing is removed here: the worker does that.
    """
    rows = UserSession.objects.filter(user_id=user.pk).order_by("created_at")
    keys = [row.session_key for row in rows]
    stored = {
        session.pk: session.get_decoded()
        for session in Session.objects.filter(pk__in=keys, expire_date__gt=now)
    }
    hashes = {user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()}
    return [
        row
        for row in rows
        if (data := stored.get(row.session_key))
        and data.get(HASH_SESSION_KEY) in hashes
        and not is_over(data, user, row, now)
    ]


def note_use(request: HttpRequest, user: User, row: UserSession | None, now: datetime) -> None:
    """Note that the session is used, unless that was noted just now or the database is busy."""
    if row is not None and now - row.last_seen_at < NOTED_EVERY:
        return
    values = {
        "user": user,
        "ip": client_address(request),
        "user_agent": request.META.get("HTTP_USER_AGENT", "")[
            : UserSession._meta.get_field("user_agent").max_length
        ],
        "last_seen_at": now,
    }
    with without_waiting():
        if row is None:
            key = str(request.session.session_key)
            new = UserSession(session_key=key, created_at=now, **values)
            UserSession.objects.bulk_create([new], ignore_conflicts=True)
            _remember(new)
        else:
            not_locked(UserSession.objects.filter(pk=row.pk)).update(**values)
            row.last_seen_at = now


def not_locked[R: QuerySet[Any]](rows: R) -> R:
    """Return the rows that nobody else is changing: on PostgreSQL, another request may be."""
    if connection.vendor != "postgresql":
        return rows
    return rows.filter(pk__in=rows.select_for_update(skip_locked=True).values("pk"))


@contextmanager
def without_waiting() -> Iterator[None]:
    """Skip what is inside when SQLite is busy, so that no page waits for it."""
    if connection.vendor != "sqlite":
        with transaction.atomic():
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        [timeout] = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        except OperationalError:  # held by a writer: the next page notes it
            if connection.in_atomic_block:
                raise
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {timeout:d}")
