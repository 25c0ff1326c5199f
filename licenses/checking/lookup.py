"""The one database read of a check: a prepared statement in plain SQL.

It is the hot path of the portal, where the ORM's join costs more than everything else together.
Tests compare its answer with the rows, in every state and on both databases.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from licenses.models import VERIFYING, KeyState, Slot
from licenses.tokens import ParsedToken
from portal.server.database import NoAnswer
from subscriptions.models import State

_READ = """
SELECT signing_key.state, signing_key.certificate, clock_timestamp(),
       license_key.id, license_key.tenant_id, license_key.token_sha256,
       license_key.slot, license_key.state,
       license_key.accepted_until, license_key.revoked_at IS NOT NULL,
       subscription.state, subscription.ends_at
FROM licenses_signingkey AS signing_key
LEFT JOIN licenses_licensekey AS license_key ON license_key.jti = %s
LEFT JOIN licenses_license AS license ON license.id = license_key.license_id
LEFT JOIN subscriptions_subscription AS subscription ON subscription.id = license.subscription_id
WHERE signing_key.kid = %s
"""
_READ_ON_SQLITE = _READ.replace("%s", "?").replace("clock_timestamp()", "NULL")

type Fetch = Callable[[UUID | None, str], tuple[Any, ...] | None]
"""Runs the statement for a `jti` and a `kid` and returns its row, if there is one."""


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
    """The signing key that a token's `kid` names, and the row that its `jti` leads to.

    `at` is the time of the database; None for SQLite, which has no clock of its own.
    """

    verifies: bool
    certificate: bytes
    key: StoredKey | None
    at: datetime | None = field(default=None, compare=False)


def fetch_on_thread(jti: UUID | None, kid: str) -> tuple[Any, ...] | None:
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

    def fetch(jti: UUID | None, kid: str) -> tuple[Any, ...] | None:
        found = driver.execute(_READ_ON_SQLITE, (jti and jti.hex, kid))
        return cast(tuple[Any, ...] | None, found.fetchone())

    return fetch


def look_up(parsed: ParsedToken, fetch: Fetch = fetch_on_thread) -> Records | None:
    """Return what is stored about a token now; None when its `kid` is none of ours.

    The state of the signing key comes with the same read, never from the memory of a process
    (contract.md section 5). Raises what `fetch` does when the database is away.
    """
    row = fetch(parsed.jti, parsed.kid)
    if row is None:
        return None
    state, certificate, at, *columns = row
    return Records(
        verifies=state in VERIFYING,
        certificate=bytes(certificate),
        key=None if columns[0] is None else _stored_key(*columns),
        at=at,
    )


def _run(connection: BaseDatabaseWrapper, jti: UUID | None, kid: str) -> tuple[Any, ...] | None:
    """Run the statement on the driver's own connection, which has it prepared.

    Django's cursors bind parameters themselves: PostgreSQL would plan the statement again every
    time, which takes longer than running it, and on SQLite they cost more than the read.
    """
    connection.ensure_connection()
    driver = connection.connection
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            return psycopg.Cursor(driver).execute(_READ, (jti, kid)).fetchone()
        found = driver.execute(_READ_ON_SQLITE, (jti and jti.hex, kid))
        return cast(tuple[Any, ...] | None, found.fetchone())


@lru_cache(maxsize=4096)
def _stored_key(
    pk: int,
    tenant_id: UUID | str,
    token_sha256: str,
    slot: str,
    state: str,
    accepted_until: datetime | None,
    is_revoked: bool | int,
    subscription_state: str,
    subscription_ends_at: datetime | None,
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


def _moment(value: datetime | None) -> datetime | None:
    """Return an aware time: SQLite stores UTC without a time zone."""
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
