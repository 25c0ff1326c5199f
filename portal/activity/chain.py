"""The HMAC chain that ties the rows of a tenant's log together."""

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from portal.activity.models import LogChain, LogEntry

ROWS_PER_READ = 2_000
"""Rows read, or removed, at a time."""


def chained_hash(entry: LogEntry) -> str:
    """Return HMAC-SHA-256 (hex, key LOG_KEY) of everything in the row but its hash."""
    columns = [f.attname for f in entry._meta.concrete_fields if f.attname not in {"id", "hash"}]
    row = {name: _canonical(getattr(entry, name)) for name in columns}
    message = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(settings.LOG_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000)
    return str(value) if isinstance(value, UUID) else value


def checkpoint_signature(chain: LogChain) -> str:
    """Return HMAC-SHA-256 (hex, key LOG_KEY) of where the kept rows begin."""
    message = f"checkpoint {chain.tenant_id} {chain.kept_from} {chain.kept_previous}"
    return hmac.new(settings.LOG_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()
