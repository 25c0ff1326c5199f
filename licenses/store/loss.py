"""What a restored database lacks: told by the log's anchors, which are kept outside of it."""

from collections.abc import Iterator
from uuid import UUID

from licenses.store.proof import log_of
from portal.activity import anchors
from portal.activity.anchors import Anchors
from portal.activity.models import VENDOR, LogChain, LogEntry
from portal.activity.verify import Fault

MEANING = (
    "What was done after the backup is not here. License keys that were generated or reset then "
    "are unknown: terminals with them hear `unknown` (`signing_key_unknown` where the signing key "
    "is newer too) and do not start. Keys that were replaced, deleted or revoked then pass again. "
    "What to do stands in docs/backup.md, “After a restore”."
)


def missing(anchored: Anchors) -> Iterator[str]:
    """Yield a sentence for each chain of the log that ends before its newest anchor.

    Nothing is told of what was done after the last anchor, which the worker writes once an hour.
    """
    counts = dict(LogChain.objects.values_list("pk", "count"))
    for tenant_id, (anchored_count, _) in sorted(anchored.newest.items()):
        count = counts.get(tenant_id, 0)
        if count >= anchored_count:
            continue
        lost = anchored_count - count
        rows = f"row {count + 1} is" if lost == 1 else f"rows {count + 1} to {anchored_count} are"
        last = LogEntry.objects.filter(tenant_id=tenant_id, seq=count).first()
        since = (
            f"The last one here is of {last.at.isoformat(timespec='seconds')}"
            if last
            else ("There is none here")
        )
        seen = anchored.heads[tenant_id][anchored_count][1]
        affected = SIGNING_KEYS if tenant_id == VENDOR else LICENSE_KEYS
        yield f"{log_of(tenant_id)}: {rows} missing. {since}, they were there on {seen}. {affected}"


LICENSE_KEYS = "License keys of this tenant that were issued in between are unknown."
SIGNING_KEYS = (
    "Signing keys that were created in between are unknown, and those that were disabled verify "
    "again."
)


def differing(anchored: Anchors) -> Iterator[Fault]:
    """Yield the chains that have other rows than were anchored, not merely fewer."""
    for fault in anchors.compare(anchored):
        if not _is_shorter(fault.tenant_id, anchored):
            yield fault


def _is_shorter(tenant_id: UUID, anchored: Anchors) -> bool:
    chain = LogChain.objects.filter(pk=tenant_id).first()
    return (chain.count if chain else 0) < anchored.newest[tenant_id][0]
