"""Replace names and addresses in the log of one tenant by pseudonyms.

The rows stay, and with them the hashes that they were recorded with: the chain and all anchors
fit as before. A row whose names are gone can no longer be judged by its hash, so it gets a seal,
an HMAC over the row as it is from then on. A row of the log tells of the erasure, right behind the
last row that it may change, and the chain holds a signed mark of that place: it is what lets the
triggers change rows. What operators did keeps their names: they are the vendor's own staff.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.chain import erasure_signature, seal
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.pseudonyms import Pseudonyms
from portal.activity.triggers import PERSONAL
from portal.core.actors import SYSTEM, ActorKind
from portal.core.steps import ROWS_PER_STEP


@transaction.atomic
def prepare(
    *, tenant_id: UUID, tenant_name: str, people: Iterable[tuple[UUID, str, str]]
) -> Pseudonyms:
    """Keep who is who in the tenant's log, by keyed digests, until its names are replaced.

    `people` are identifier, name and email address of its members; who left is in the log.
    """
    chain = LogChain.objects.select_for_update().get(pk=tenant_id)
    acted = LogEntry.objects.filter(tenant_id=tenant_id, actor_kind=ActorKind.MEMBER)
    logged = acted.order_by().values_list("actor_id", "actor_name", "actor_email").distinct()
    known = [*people, *((id, name, email) for id, name, email in logged if id)]
    chain.erasing = Pseudonyms(tenant_id, {}).known(known, tenant_name=tenant_name)
    chain.save(update_fields=["erasing"])
    return Pseudonyms(tenant_id, chain.erasing)


def pseudonyms(tenant_id: UUID) -> Pseudonyms:
    """Return the pseudonyms of a tenant whose erasure was prepared."""
    return Pseudonyms(tenant_id, LogChain.objects.get(pk=tenant_id).erasing or {})


def erase(
    *, tenant_id: UUID, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False
) -> bool:
    """Replace the names in all rows of the tenant; return whether none is left.

    It goes on where an earlier call was stopped or killed. An erasure that is done is not repeated.
    """
    with transaction.atomic():
        chain = LogChain.objects.select_for_update().get(pk=tenant_id)
        if chain.erasing is None:
            return True
        if not chain.erased_to:
            _mark(chain, now)
    names, last = Pseudonyms(tenant_id, chain.erasing), 0
    rows = LogEntry.objects.filter(tenant_id=tenant_id, seq__lte=chain.erased_to, seal=None)
    while batch := list(rows.filter(seq__gt=last).order_by("seq")[:ROWS_PER_STEP]):
        if stopped():
            return False
        with transaction.atomic():
            for entry in batch:
                _replace(entry, names)
        last = batch[-1].seq
    LogChain.objects.filter(pk=tenant_id).update(erasing=None)
    return True


def _mark(chain: LogChain, now: datetime | None) -> None:
    """Record the row that tells of the erasure, and sign how far the erasure reaches."""
    chain.erased_to = chain.count
    record(
        actor=SYSTEM,
        action=Action.LOG_ERASED,
        tenant_id=chain.tenant_id,
        details={"up_to_row": chain.erased_to},
        now=now,
    )
    chain.erased_signature = erasure_signature(chain)
    chain.save(update_fields=["erased_to", "erased_signature"])


def _replace(entry: LogEntry, names: Pseudonyms) -> None:
    """Replace the names of one row; another process may have done it meanwhile."""
    if entry.actor_kind != ActorKind.OPERATOR:
        if entry.actor_id is not None:
            entry.actor_name = names.person(entry.actor_id)
            entry.actor_id = names.person_id(entry.actor_id)
        entry.actor_email = ""
        entry.address = names.address(entry.address)
    entry.subscription_name = names.subscription(entry.subscription_name)
    entry.reason = names.text(entry.reason)
    entry.details = names.details(entry.action, entry.details)
    entry.seal = seal(entry)
    LogEntry.objects.filter(pk=entry.pk, seal=None).update(
        **{name: getattr(entry, name) for name in PERSONAL}
    )
