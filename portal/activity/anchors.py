"""Anchors: the heads of all chains, kept outside of the database.

A database that was restored as a whole, or a log whose tail was cut together with head and count,
looks intact by itself. Earlier anchors reveal it.

The file holds one JSON object a line. Each names the chains that differ from the anchors before
it, and is signed together with the signature before it. After a file was moved away, a new one
begins with all chains; each file is compared by itself.
"""

import fcntl
import hmac
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from portal.activity.chain import signature
from portal.activity.models import LogChain, LogEntry
from portal.activity.verify import Fault
from portal.core.refusal import Refused
from portal.metrics.installation import LOG_FAULTS

logger = logging.getLogger("portal.log")

ROWS_PER_QUERY = 500


@dataclass
class Anchors:
    """What a file of anchors holds.

    `heads` has, by tenant and number of a row, its hash and the moment at which it was the head;
    `newest` the last number and hash of each tenant.
    """

    count: int = 0
    last_at: str = ""
    last_signature: str = ""
    heads: dict[UUID, dict[int, tuple[str, str]]] = field(default_factory=dict)
    newest: dict[UUID, tuple[int, str]] = field(default_factory=dict)


def append(*, path: Path | None = None, now: datetime | None = None) -> int:
    """Append an anchor to the file (by default LOG_ANCHORS_FILE) and return its number.

    Logs it in the process log, with an error for each chain that is shorter than it was. Raises
    Refused when the file was changed, OSError when it cannot be read or written.
    """
    path, now = path or settings.LOG_ANCHORS_FILE, now or timezone.now()
    with _locked(path) as file:
        before = _parsed(file)
        found = {
            tenant: (count, head)
            for tenant, count, head in LogChain.objects.values_list("tenant_id", "count", "head")
        }
        for tenant, (count, _) in sorted(before.newest.items()):
            if found.get(tenant, (0, ""))[0] < count:
                LOG_FAULTS.add()
                logger.error(
                    "The log of %s is shorter than it was: run verify_log --anchors %s",
                    tenant,
                    path,
                )
        changed = {
            str(tenant): list(place)
            for tenant, place in sorted(found.items())
            if before.newest.get(tenant) != place
        }
        anchor: dict[str, Any] = {
            "number": before.count + 1,
            "at": now.isoformat(),
            "chains": changed,
        }
        anchor["signature"] = _signature(before.last_signature, anchor)
        file.write(json.dumps(anchor).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    logger.info(
        "Anchor %d of the log, with %d chains changed: %s",
        anchor["number"],
        len(changed),
        anchor["signature"],
    )
    return before.count + 1


def of_tenant(tenant_id: UUID, *, now: datetime) -> dict[str, Any]:
    """Return an anchor of one chain, as the only line of a file that somebody outside keeps."""
    rows = LogChain.objects.filter(pk=tenant_id).values_list("count", "head")
    anchor: dict[str, Any] = {
        "number": 1,
        "at": now.isoformat(),
        "chains": {str(tenant_id): list(place) for place in rows},
    }
    return {**anchor, "signature": _signature("", anchor)}


def read(path: Path) -> Anchors:
    """Return what the file holds.

    Raises Refused when an anchor was changed or left out, OSError when it cannot be read.
    """
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return _parsed(file)


def read_given(path: Path | None) -> Anchors | None:
    """Return the anchors of a file that a command was given, or None without one.

    Raises Refused, naming the file, when it cannot be read, is not whole, or holds no anchor.
    """
    if path is None:
        return None
    try:
        found = read(path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    except Refused as refusal:
        raise Refused(f"{path} is not whole: {refusal.sentence}") from refusal
    if not found.count:
        raise Refused(f"{path} holds no anchor; the worker writes one each hour.")
    return found


def compare(anchors: Anchors) -> Iterator[Fault]:
    """Yield the first difference of each tenant's chain from what was anchored.

    Rows that retention has removed since are not compared.
    """
    chains = LogChain.objects.in_bulk()
    for tenant_id, heads in sorted(anchors.heads.items()):
        chain = chains.get(tenant_id) or LogChain(tenant_id=tenant_id)
        sentence = _difference(chain, heads)
        if sentence:
            yield Fault(tenant_id, sentence)


def _difference(chain: LogChain, heads: dict[int, tuple[str, str]]) -> str | None:
    found = {chain.kept_from - 1: chain.kept_previous}
    for seqs in batched(sorted(heads), ROWS_PER_QUERY, strict=False):
        rows = LogEntry.objects.filter(tenant_id=chain.tenant_id, seq__in=seqs)
        found |= dict(rows.values_list("seq", "hash"))
    for seq, (head, at) in sorted(heads.items()):
        if seq > chain.count:
            return f"the rows from {chain.count + 1} to {seq} are missing, which were there on {at}"
        if seq >= chain.kept_from - 1 and found.get(seq) != head:
            return f"row {seq} is not the one that was there on {at}"
    return None


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file to read and append, for its owner alone, while no other process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _ends_within_a_line(file):  # a process died, or the disk was full
            file.write(b"\n")
        file.seek(0)
        yield file


def _ends_within_a_line(file: BinaryIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _parsed(file: BinaryIO) -> Anchors:
    """Return the anchors of the file; incomplete lines are skipped."""
    anchors = Anchors()
    for line in file:
        anchor = _anchor(line)
        if anchor is None:
            continue
        anchor.pop("jws", "")  # of the API: for those who do not have LOG_KEY
        own = anchor.pop("signature", "")
        if anchor.get("number") != anchors.count + 1 or not hmac.compare_digest(
            str(own).encode(), _signature(anchors.last_signature, anchor).encode()
        ):
            raise Refused(
                f"Anchor {anchors.count + 1} was changed or left out, or signed with another "
                "LOG_KEY."
            )
        anchors.count, anchors.last_at, anchors.last_signature = anchor["number"], anchor["at"], own
        for name, (count, head) in anchor["chains"].items():
            anchors.heads.setdefault(UUID(name), {}).setdefault(count, (head, anchor["at"]))
            anchors.newest[UUID(name)] = (count, head)
    return anchors


def _anchor(line: bytes) -> dict[str, Any] | None:
    try:
        anchor = json.loads(line)
    except ValueError:
        return None
    return anchor if isinstance(anchor, dict) else None


def _signature(previous: str, anchor: dict[str, Any]) -> str:
    return signature(f"anchor {previous} {json.dumps(anchor, sort_keys=True)}")
