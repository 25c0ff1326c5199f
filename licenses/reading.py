"""The one read of a check: all that judging needs, in one prepared statement of plain SQL.

It is the hot path of the portal, where the ORM's join costs more than everything else together.
That it tells the same as the rows do is tested over every state, on both databases.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

from licenses.models import VERIFYING, KeyState, Slot
from licenses.tokens import ParsedToken
from subscriptions.models import State

_READ = """
SELECT signing_key.state, signing_key.certificate,
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


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A license key's row with the subscription that stands behind it."""

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


def read(parsed: ParsedToken) -> Records | None:
    """Return what is stored about a token now; None when its `kid` is none of ours.

    The state of the signing key comes with the same read, never from the memory of a process
    (contract.md section 5). Raises django.db.OperationalError when the database is away.
    """
    jti = parsed.jti
    with _cursor() as cursor:
        native = cursor.db.features.has_native_uuid_field
        cursor.execute(_READ, (jti if native or jti is None else jti.hex, parsed.kid))
        row = cursor.fetchone()
    if row is None:
        return None
    state, certificate, *columns = row
    return Records(
        verifies=state in VERIFYING,
        certificate=bytes(certificate),
        key=None if columns[0] is None else _stored_key(*columns),
    )


def _cursor() -> CursorWrapper:
    """Return a cursor that has PostgreSQL plan the statement once for each connection.

    Django binds parameters itself, which makes every statement a new one to be planned: that
    takes longer than running it. SQLite's driver keeps prepared statements by their text.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return make(psycopg.Cursor(connection.connection))  # type: ignore[arg-type]


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
    """Return an aware time: SQLite stores it in UTC without saying so."""
    return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
