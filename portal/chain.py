"""Verifying the log's chains, and cutting off what is too old under a signed checkpoint."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal import activity
from portal.activity import Action, chained_hash
from portal.actors import Actor
from portal.models import LogChain, LogEntry
from portal.refusal import Refused

AT_ONCE = 2_000
"""Rows read, or removed, at a time."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the chain of one tenant, as a sentence."""

    tenant_id: UUID
    sentence: str


def verify(tenant_id: UUID) -> Fault | None:
    """Return the first fault of the tenant's chain, or None when it is whole.

    Finds a row that was changed, moved or left out, rows cut off at the end, a chain rewritten
    without LOG_KEY, and a checkpoint that retention did not sign. Takes no lock: what is recorded
    meanwhile is verified the next time, and when retention ran meanwhile it starts again.
    """
    while True:
        chain = LogChain.objects.filter(pk=tenant_id).first()
        sentence = _fault(chain) if chain else "its head and count are missing"
        after = LogChain.objects.filter(pk=tenant_id).first()
        if sentence is None or chain is None or after is None:
            break
        if after.kept_from == chain.kept_from:
            break
    return Fault(tenant_id, sentence) if sentence else None


def tenants_with_log() -> list[UUID]:
    """Return every tenant that has rows or a chain."""
    chains = LogChain.objects.values_list("tenant_id", flat=True)
    rows = LogEntry.objects.order_by().values_list("tenant_id", flat=True).distinct()
    return sorted({*chains, *rows})


def prune(
    *, tenant_id: UUID, older_than: timedelta, actor: Actor, now: datetime | None = None
) -> int:
    """Remove the rows before the first that is younger than `older_than`; return how many.

    The checkpoint (first `seq` kept, hash before it, signature) is stored first: it is what lets
    the triggers remove older rows. A run that is killed half-way is finished by the next one.
    Raises Refused when the chain is not whole: its faults would be gone with the rows.
    """
    now = now or timezone.now()
    fault = verify(tenant_id)
    if fault is not None:
        raise Refused(f"Nothing was removed: {fault.sentence}.")
    with transaction.atomic():
        chain = LogChain.objects.select_for_update().get(pk=tenant_id)
        rows = LogEntry.objects.filter(tenant_id=tenant_id, seq__gte=chain.kept_from)
        young = rows.filter(at__gte=now - older_than).order_by("seq").values_list("seq", flat=True)
        first = young.first() or chain.count + 1
        if first > chain.kept_from:
            removed = first - chain.kept_from
            chain.kept_previous = rows.get(seq=first - 1).hash
            chain.kept_from = first
            chain.kept_signature = checkpoint_signature(chain)
            chain.save(update_fields=["kept_from", "kept_previous", "kept_signature"])
            activity.record(
                actor=actor,
                action=Action.LOG_PRUNED,
                tenant_id=tenant_id,
                details={"older_than_days": older_than.days, "rows": removed},
                now=now,
            )
    return _remove_below(tenant_id, first)


def checkpoint_signature(chain: LogChain) -> str:
    """Return HMAC-SHA-256 (hex, key LOG_KEY) of where the kept rows begin."""
    told = f"checkpoint {chain.tenant_id} {chain.kept_from} {chain.kept_previous}"
    return hmac.new(settings.LOG_KEY.encode(), told.encode(), hashlib.sha256).hexdigest()


def _remove_below(tenant_id: UUID, seq: int) -> int:
    old = LogEntry.objects.filter(tenant_id=tenant_id, seq__lt=seq).order_by("seq")
    removed = 0
    while batch := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        removed += LogEntry.objects.filter(pk__in=batch).delete()[0]
    return removed


def _fault(chain: LogChain) -> str | None:
    if chain.kept_from > 1 and not hmac.compare_digest(
        chain.kept_signature, checkpoint_signature(chain)
    ):
        return "the checkpoint of its retention was forged"
    seq, previous, head = chain.kept_from - 1, chain.kept_previous, chain.kept_previous
    for entry in _rows(chain):
        if entry.seq != seq + 1:
            return f"row {seq + 1} is missing"
        if not hmac.compare_digest(entry.hash, chained_hash(entry)):
            return f"row {entry.seq} was changed"
        if entry.previous != previous:
            return f"row {entry.seq} does not hang on the row before it"
        seq, previous = entry.seq, entry.hash
        if seq == chain.count:
            head = previous
    if seq < chain.count:
        return f"the rows from {seq + 1} to {chain.count} are missing"
    if head != chain.head:
        return "its head was changed"
    if seq > LogChain.objects.get(pk=chain.pk).count:
        return f"the rows after {chain.count} were never counted"
    return None


def _rows(chain: LogChain) -> Iterator[LogEntry]:
    rows = LogEntry.objects.filter(tenant_id=chain.tenant_id, seq__gte=chain.kept_from)
    return rows.order_by("seq").iterator(chunk_size=AT_ONCE)
