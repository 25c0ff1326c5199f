"""The log: one append-only row in the caller's transaction for everything that happens."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.chain import NEWEST, chained_hash
from portal.activity.models import VENDOR, LogChain, LogEntry
from portal.config import database_secrets
from portal.core.actors import Actor
from portal.core.clock import refuse_wrong_clock, seconds_ahead
from portal.metrics.installation import WORKER_EVENTS
from portal.metrics.instruments import EVENTS
from portal.metrics.node import PROCESS

type Listener = Callable[[LogEntry], object]

LISTENERS: list[Listener] = []
"""What is told of every row, in its transaction and with the tenant's chain locked.

Registered when the apps are ready. What one raises undoes what the row records.
"""


class Subject(Protocol):
    """What a row may be about: a subscription, as far as the log copies it."""

    name: str

    @property
    def pk(self) -> Any:
        """The identifier of the subscription."""


def record(
    *,
    actor: Actor,
    action: Action,
    tenant_id: UUID = VENDOR,
    subscription: Subject | None = None,
    slot: str = "",
    result: str = "",
    reason: str = "",
    details: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> LogEntry:
    """Append one row to the tenant's chain and return it.

    Must run in the transaction of what it records, after the rows concerned were locked (locks are
    taken in one order: subscription, tenant, chain). Raises TransactionManagementError outside a
    transaction, UnfitNode in a process whose secrets or clock do not fit the database.
    """
    connection.validate_no_broken_transaction()
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "A log row is recorded in the transaction of what it tells."
        )
    database_secrets.require()
    count, head, next_id = _locked_chain(tenant_id)
    entry = LogEntry(
        id=next_id,
        tenant_id=tenant_id,
        seq=count + 1,
        at=now or timezone.now(),
        actor_kind=actor.kind,
        actor_id=actor.user_id or actor.token_id,
        actor_name=actor.name[:200],
        actor_email=actor.email,
        action=action,
        subscription_id=subscription.pk if subscription else None,
        subscription_name=subscription.name if subscription else "",
        slot=slot,
        result=result,
        reason=reason,
        details=details or {},
        address=actor.address[:45],
        previous=head,
        hash_version=NEWEST,
    )
    entry.hash = chained_hash(entry) or ""
    entry.save(force_insert=True)
    with connection.cursor() as cursor:
        cursor.execute(ADVANCE_CHAIN, [entry.seq, entry.hash, _chain_key(tenant_id)])
    for listener in LISTENERS:
        listener(entry)
    transaction.on_commit(partial(_count, str(action)))
    return entry


def _count(action: str) -> None:
    # Nobody scrapes a worker: what it counts is told by the nodes.
    (WORKER_EVENTS if PROCESS.role == "worker" else EVENTS).add(action)


NEXT_ID = {
    "postgresql": f"nextval(pg_get_serial_sequence('{LogEntry._meta.db_table}', 'id'))",
    # SQLite has locked the whole database; ids of removed rows are not used again.
    "sqlite": (
        "max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = "  # noqa: S608 (no foreign text)
        f"'{LogEntry._meta.db_table}'), 0), "
        f"coalesce((SELECT max(id) FROM {LogEntry._meta.db_table}), 0)) + 1"
    ),
}
"""SQL for the id of the next row, which the row's hash covers."""

CLOCK = {"postgresql": "extract(epoch FROM clock_timestamp())", "sqlite": "NULL"}
"""SQL for the database's time in seconds since 1970; SQLite has no clock of its own."""


LOCK_CHAIN = {
    vendor: (
        f"SELECT count, head, {next_id}, {CLOCK[vendor]} "  # noqa: S608 (no foreign text)
        f"FROM {LogChain._meta.db_table} WHERE tenant_id = %s "
        + ("FOR UPDATE" if vendor == "postgresql" else "")
    )
    for vendor, next_id in NEXT_ID.items()
}
"""SQL, because every change waits for this statement: the ORM would take ten times as long."""

ADVANCE_CHAIN = f"UPDATE {LogChain._meta.db_table} SET count = %s, head = %s WHERE tenant_id = %s"  # noqa: S608 (no foreign text)


def _locked_chain(tenant_id: UUID) -> tuple[int, str, int]:
    """Return count and head of the tenant's chain, locked, and the id of the row to come.

    Raises WrongClock where this machine's clock is too far from the database's.
    """
    key, before = _chain_key(tenant_id), time.time()
    with connection.cursor() as cursor:
        cursor.execute(LOCK_CHAIN[connection.vendor], [key])
        found = cursor.fetchone()
        if found is None:
            LogChain.objects.bulk_create([LogChain(tenant_id=tenant_id)], ignore_conflicts=True)
            cursor.execute(LOCK_CHAIN[connection.vendor], [key])
            found = cursor.fetchone()
    count, head, next_id, database_time = found
    if database_time is not None:
        refuse_wrong_clock(seconds_ahead(before, float(database_time), time.time()))
    return count, head, next_id


def _chain_key(tenant_id: UUID) -> Any:
    """Return the key of the tenant's chain as the database takes it."""
    return LogChain._meta.pk.get_db_prep_value(tenant_id, connection)
