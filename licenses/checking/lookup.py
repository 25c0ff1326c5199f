"""The one database read of a check: a prepared statement in plain SQL.

It is the hot path of the portal, where the ORM's join costs more than everything else together.
Tests compare its answer with the rows, in every state and on both databases.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from licenses.models import VERIFYING, KeyState, Slot
from portal.server.database import NoAnswer
from subscriptions.models import State

_READ = """
SELECT signing_key.state, signing_key.certificate,
       license_key.id, license_key.tenant_id, license_key.token_sha256,
       license_key.slot, license_key.state,
       license_key.accepted_until, license_key.revoked_at IS NOT NULL,
       subscription.state, subscription.ends_at{clock}
FROM licenses_signingkey AS signing_key
LEFT JOIN licenses_licensekey AS license_key ON license_key.jti = %s
LEFT JOIN licenses_license AS license ON license.id = license_key.license_id
LEFT JOIN subscriptions_subscription AS subscription ON subscription.id = license.subscription_id
WHERE signing_key.kid = %s
"""
_READ_ON_POSTGRESQL = _READ.format(clock=", clock_timestamp()")
_READ_ON_SQLITE = _READ.format(clock="").replace("%s", "?")

type Row = tuple[Any, ...]
"""What the statement reads, as the driver gives it."""

type Found = tuple[Row | None, datetime]
"""The row, if there is one, and the time by the database's clock: SQLite's is the machine's."""

type Fetch = Callable[[UUID | None, str], Found]
"""Runs the statement for a `jti` and a `kid`."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A license key's row, with the state of its subscription."""

    pk: int
    tenant_id: UUID
    token_sha256: str
    slot: Slot
    state: KeyState
    accepted_until: datetime | None
    is_revoked: bool
    subscription_state: State
    subscription_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Records:
    """The signing key that a token's `kid` names, and the row that its `jti` leads to."""

    verifies: bool
    certificate: bytes
    key: StoredKey | None


def fetch_on_thread(jti: UUID | None, kid: str) -> Found:
    """Run the statement; once more on a new connection if the server has closed this one.

    Nothing else is retried: while the database is unavailable, a request waits for one time-out.
    Raises django.db.OperationalError then.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        return _run(connection, jti, kid)
    except (OperationalError, InterfaceError) as error:
        is_late = isinstance(error.__cause__, NoAnswer)
        if is_late or connection.in_atomic_block or not _is_ended(connection):
            raise
        connection.close()
    return _run(connection, jti, kid)


def _is_ended(connection: BaseDatabaseWrapper) -> bool:
    """Return whether this is a connection to PostgreSQL that the server has closed."""
    return connection.vendor == "postgresql" and bool(
        connection.connection and connection.connection.closed
    )


def fetch_on_loop(driver: sqlite3.Connection) -> Fetch:
    """Return a read for an event loop, where Django's connections refuse to work.

    `driver` is a connection that Django has opened and nothing else uses. What is returned raises
    sqlite3.Error when the database does not answer within the connection's busy time-out.
    """
    return partial(_run_on_sqlite, driver)


def records(row: Row | None) -> Records | None:
    """Return what a row says of a token; None when there is none: its `kid` is none of ours.

    The state of the signing key comes with the same read, never from the memory of a process
    (contract.md section 5).
    """
    if row is None:
        return None
    state, certificate, *columns = row
    return Records(
        verifies=state in VERIFYING,
        certificate=bytes(certificate),
        key=None if columns[0] is None else _stored_key(*columns),
    )


def _run(connection: BaseDatabaseWrapper, jti: UUID | None, kid: str) -> Found:
    """Run the statement on the driver's own connection, which has it prepared.

    Django's cursors bind parameters themselves: PostgreSQL would plan the statement again every
    time, which takes longer than running it, and on SQLite they cost more than the read.
    """
    connection.ensure_connection()
    driver = connection.connection
    with connection.wrap_database_errors:
        if connection.vendor == "sqlite":
            return _run_on_sqlite(driver, jti, kid)
        row = psycopg.Cursor(driver).execute(_READ_ON_POSTGRESQL, (jti, kid)).fetchone()
    return (None, timezone.now()) if row is None else (row[:-1], row[-1])


def _run_on_sqlite(driver: sqlite3.Connection, jti: UUID | None, kid: str) -> Found:
    found = driver.execute(_READ_ON_SQLITE, (jti and jti.hex, kid))
    return cast(Row | None, found.fetchone()), timezone.now()


@lru_cache(maxsize=4096)
def _stored_key(
    pk: int,
    tenant_id: UUID | str,
    token_sha256: str,
    slot: str,
    state: str,
    accepted_until: datetime | str | None,
    is_revoked: bool | int,
    subscription_state: str,
    subscription_ends_at: datetime | str | None,
) -> StoredKey:
    """Return the row with these columns; cached, so that the same columns are converted once."""
    return StoredKey(
        pk,
        tenant_id if isinstance(tenant_id, UUID) else UUID(tenant_id),
        token_sha256,
        Slot(slot),
        KeyState(state),
        _moment(accepted_until),
        bool(is_revoked),
        State(subscription_state),
        _moment(subscription_ends_at),
    )


def _moment(value: datetime | str | None) -> datetime | None:
    """Return an aware time: SQLite stores UTC without a time zone, and as text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
