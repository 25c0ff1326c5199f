"""System checks for what the environment variables alone do not show."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.utils import DatabaseError

DEMONSTRATION_DOMAINS = (
    "@contoso.example",
    "@fabrikam.example",
    "@kitakaze.example",
    "@operator.example",
)

SENTENCE = "This database holds the accounts of the demonstration."
HINT = "Use an empty database, or set DEMONSTRATION=true on your own machine."


@register(Tags.database)
def no_demonstration_accounts(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse to run in production on the accounts of the demonstration."""
    if settings.DEMONSTRATION or not databases:
        return []
    try:
        found = demonstration_accounts_exist()
    except DatabaseError:
        return []
    return [Error(SENTENCE, hint=HINT, id="portal.E001")] if found else []


@register(Tags.security, deploy=True)
def shared_cache(**_: Any) -> list[CheckMessage]:
    """Warn where several processes would each count limits and used codes for themselves."""
    if settings.DEMONSTRATION or settings.CACHE_URL:
        return []
    return [
        CheckWarning(
            "CACHE_URL is not set: with several processes, each counts limits for itself.",
            hint="Set CACHE_URL=redis://host:6379/0, or run one process (serve --workers 1).",
            id="portal.W001",
        )
    ]


def refuse_demonstration_accounts() -> None:
    """Raise ImproperlyConfigured in production on the accounts of the demonstration.

    A database that is away is checked once it is back: from then on every connection raises.
    """
    if settings.DEMONSTRATION:
        return
    try:
        found = demonstration_accounts_exist()
    except DatabaseError:
        connection_created.connect(_look_again, dispatch_uid="portal.config.checks")
        return
    if found:
        raise ImproperlyConfigured(f"{SENTENCE} {HINT}")


def _look_again(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """Receive `connection_created`: refuse the connection, or stop checking."""
    try:
        found = demonstration_accounts_exist()
    except DatabaseError:
        return
    if found:
        connection.close()
        raise ImproperlyConfigured(f"{SENTENCE} {HINT}")
    connection_created.disconnect(dispatch_uid="portal.config.checks")


def demonstration_accounts_exist() -> bool:
    """Return whether the database holds an account of the demonstration.

    Raises DatabaseError when it is away.
    """
    users = get_user_model()
    if users._meta.db_table not in connection.introspection.table_names():
        return False
    return any(
        users.objects.filter(email__iendswith=domain).exists() for domain in DEMONSTRATION_DOMAINS
    )
