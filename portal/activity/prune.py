"""Remove old rows of the log, below a signed checkpoint."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.chain import ROWS_PER_READ, checkpoint_signature
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.verify import verify
from portal.core.actors import Actor
from portal.core.refusal import Refused


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
            record(
                actor=actor,
                action=Action.LOG_PRUNED,
                tenant_id=tenant_id,
                details={"older_than_days": older_than.days, "rows": removed},
                now=now,
            )
    return _remove_below(tenant_id, first)


def _remove_below(tenant_id: UUID, seq: int) -> int:
    old = LogEntry.objects.filter(tenant_id=tenant_id, seq__lt=seq).order_by("seq")
    removed = 0
    while batch := list(old.values_list("pk", flat=True)[:ROWS_PER_READ]):
        removed += LogEntry.objects.filter(pk__in=batch).delete()[0]
    return removed
