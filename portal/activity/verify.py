"""Verify the chains of the log."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from portal.activity.actions import Action
from portal.activity.chain import (
    ROWS_PER_READ,
    checkpoint_signature,
    erasure_signature,
    is_whole,
)
from portal.activity.models import LogChain, LogEntry


@dataclass(frozen=True)
class Fault:
    """What is wrong with the chain of one tenant, as a sentence."""

    tenant_id: UUID
    sentence: str


def verify(tenant_id: UUID) -> Fault | None:
    """Return the first fault of the tenant's chain, or None when it is whole.

    Finds a row that was changed, moved, left out or written without LOG_KEY, one below the
    checkpoint too, rows cut off at the end, and a checkpoint that retention did not sign. Names are
    replaced by an erasure only: it signs its mark, seals the rows, and has a row of its own. Takes
    no lock: what is recorded meanwhile is verified the next time, and when retention or an erasure
    began meanwhile it starts again.
    """
    while True:
        chain = LogChain.objects.filter(pk=tenant_id).first()
        sentence = _fault(chain) if chain else "its head and count are missing"
        after = LogChain.objects.filter(pk=tenant_id).first()
        if sentence is None or chain is None or after is None:
            break
        if (after.kept_from, after.erased_to) == (chain.kept_from, chain.erased_to):
            break
    return Fault(tenant_id, sentence) if sentence else None


def tenants_with_log() -> list[UUID]:
    """Return every tenant that has rows or a chain."""
    chains = LogChain.objects.values_list("tenant_id", flat=True)
    rows = LogEntry.objects.order_by().values_list("tenant_id", flat=True).distinct()
    return sorted({*chains, *rows})


def _fault(chain: LogChain) -> str | None:
    if chain.kept_from > 1 and not _is_same(chain.kept_signature, checkpoint_signature(chain)):
        return "the checkpoint of its retention was forged"
    if chain.erased_to and not _is_same(chain.erased_signature or "", erasure_signature(chain)):
        return "the mark of its erasure was forged"
    seq, previous, head = chain.kept_from - 1, chain.kept_previous, chain.kept_previous
    for entry in _rows(chain):
        if sentence := _fault_of(entry, chain, seq, previous):
            return sentence
        if entry.seq < chain.kept_from:
            continue
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


def _fault_of(entry: LogEntry, chain: LogChain, seq: int, previous: str) -> str | None:
    """Say what is wrong with the row that comes after the row `seq`, whose hash is `previous`."""
    if entry.seq < chain.kept_from:  # retention was stopped before it had removed this one
        if is_whole(entry):
            return None
        return f"row {entry.seq}, which retention removed, was written again"
    if entry.seq != seq + 1:
        return f"row {seq + 1} is missing"
    if not is_whole(entry):
        return f"row {entry.seq} was changed"
    if entry.seal is not None and entry.seq > (chain.erased_to or 0):
        return f"names in row {entry.seq} were replaced without an erasure"
    if chain.erased_to and entry.seq == chain.erased_to + 1 and entry.action != Action.LOG_ERASED:
        return f"row {entry.seq} does not tell of the erasure before it"
    if entry.previous != previous:
        return f"row {entry.seq} does not hang on the row before it"
    return None


def _is_same(stored: str, computed: str) -> bool:
    return hmac.compare_digest(stored.encode(), computed.encode())


def _rows(chain: LogChain) -> Iterator[LogEntry]:
    """Yield the rows in their order, with a statement for each ROWS_PER_READ of them."""
    rows, last = LogEntry.objects.filter(tenant_id=chain.tenant_id).order_by("seq"), None
    while read := list((rows if last is None else rows.filter(seq__gt=last))[:ROWS_PER_READ]):
        yield from read
        last = read[-1].seq
