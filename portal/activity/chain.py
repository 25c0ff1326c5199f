"""HMAC-SHA-256 (RFC 2104, key LOG_KEY) over rows of the log, checkpoints and anchors."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from portal.activity.models import LogChain, LogEntry

ROWS_PER_READ = 2_000
"""Rows read, or removed, at a time."""

_FIRST = (
    "tenant_id",
    "seq",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "actor_email",
    "action",
    "subscription_id",
    "subscription_name",
    "slot",
    "result",
    "reason",
    "details",
    "address",
    "previous",
)

HASHED: dict[int, tuple[str, ...]] = {1: _FIRST, 2: (*_FIRST, "id", "hash_version")}
"""The columns that the hash of a row covers, by the row's `hash_version`.

A released list is never edited: a new column of LogEntry makes a new version.
"""

NEWEST = max(HASHED)


def chained_hash(entry: LogEntry) -> str | None:
    """Return the hash (hex) of the row's columns, which include the hash of the row before it.

    None for a row whose `hash_version` this code does not know.
    """
    version = entry.hash_version
    if version not in HASHED:
        return None
    exact = version > 1
    row = {name: _canonical(getattr(entry, name), exact=exact) for name in HASHED[version]}
    return signature(_as_json(row))


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _canonical(value: Any, *, exact: bool) -> Any:
    if isinstance(value, datetime):
        # A float holds today's microseconds only roughly; rows of version 1 were hashed with it.
        return value.astimezone(UTC).isoformat() if exact else int(value.timestamp() * 1_000_000)
    return str(value) if isinstance(value, UUID) else value


def seal(entry: LogEntry) -> str:
    """Return the seal (hex) of a row whose names were replaced: it covers all columns but itself.

    Among them is `hash`, which stays what it was when the row was recorded, so that the chain and
    earlier anchors still fit it.
    """
    fields = (field.attname for field in LogEntry._meta.concrete_fields)
    row = {name: _canonical(getattr(entry, name), exact=True) for name in fields if name != "seal"}
    return signature(f"erased {_as_json(row)}")


def is_whole(entry: LogEntry) -> bool:
    """Return whether the row is as it was recorded, or as an erasure has left it."""
    stored, computed = entry.hash, chained_hash(entry)
    if entry.seal is not None:
        stored, computed = entry.seal, seal(entry)
    return computed is not None and hmac.compare_digest(stored.encode(), computed.encode())


def erasure_signature(chain: LogChain) -> str:
    """Return the signature (hex) of how far an erasure may replace names."""
    return signature(f"erasure {chain.tenant_id} {chain.erased_to}")


def checkpoint_signature(chain: LogChain) -> str:
    """Return the signature (hex) of where the tenant's kept rows begin."""
    return signature(f"checkpoint {chain.tenant_id} {chain.kept_from} {chain.kept_previous}")


def signature(message: str) -> str:
    """Return HMAC-SHA-256 (hex) of the message with LOG_KEY.

    Messages of different kinds begin differently: rows with `{`, the others with a word.
    """
    return hmac.new(settings.LOG_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()
