"""Token Status List: which entry of which list belongs to a license key (contract.md 8).

The format is that of draft-ietf-oauth-status-list: entries of two bits in a byte array, the first
in the lowest bits, compressed by zlib (sections 4 and 5).
"""

import base64
import binascii
import random
import secrets
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from functools import lru_cache

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Q, Value, When

from licenses.models import KeyState, LicenseKey, SigningKeyState, StatusList
from licenses.tokens import CLOCK_SKEW_SECONDS, base64url
from subscriptions.models import State

BITS = 2
TTL_SECONDS = 300
"""Seconds for which a verifier may use a list that it has fetched."""

LEAVES_AFTER = timedelta(seconds=CLOCK_SKEW_SECONDS + TTL_SECONDS)
"""How long a refused key stays in its list after its expiry: until no verifier accepts it."""

MAX_SHARE = 0.5
"""The share of a list that is assigned to keys: random picks stay fast, and decoys have room."""

COUNTED_AFTER = 64
"""A process uses this part of what is free in a list before it counts the list's keys again."""

SPARE = 6
"""Indexes drawn beyond those needed: one query finds enough that are free, nearly always."""

MAX_LIST_BYTES = 1 << 20
"""The largest list in bytes, decompressed: a small text can expand to gigabytes."""


class Entry(IntEnum):
    """What a list says about a key (draft-ietf-oauth-status-list section 7.1)."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


def pick(count: int = 1) -> tuple[StatusList, list[int]]:
    """Return a list and as many different indexes in it that no key has had yet.

    Nothing is reserved: the unique constraint of (list, index) decides when the keys are stored,
    and the loser picks again.
    """
    newest = _newest()
    if newest is None or not _has_room(newest, count):
        newest = open_next()
    decoy = decoys(bytes(newest.decoy_seed), newest.size)
    free: list[int] = []
    while len(free) < count:
        drawn = {secrets.randbelow(newest.size) for _ in range(count + SPARE)} - decoy - {*free}
        free += drawn - taken(newest, drawn)
    return newest, secrets.SystemRandom().sample(free, count)


_room: dict[bytes, int] = {}
"""How many keys this process may still put on a list, by its seed, before it counts them again."""


def _has_room(newest: StatusList, count: int) -> bool:
    """Return whether less than MAX_SHARE of the list is assigned.

    All its keys are counted seldom: until then, a process uses a small part of what is free.
    """
    seed = bytes(newest.decoy_seed)
    left = _room.get(seed, 0) - count
    if left < 0:
        free = int(newest.size * MAX_SHARE) - newest.keys.count()
        if free <= 0:
            return False
        left = free // COUNTED_AFTER
    _room[seed] = left
    return True


def open_next() -> StatusList:
    """Return a new, empty list, on which all keys are put from now on."""
    newest = _newest()
    return _open_list((newest.number if newest else 0) + 1)


def _newest() -> StatusList | None:
    """Return the list with the highest number, in plain SQL: every new key is put on it."""
    rows = StatusList.objects.raw("SELECT * FROM licenses_statuslist ORDER BY number DESC LIMIT 1")
    return next(iter(rows), None)


def taken(status_list: StatusList, indexes: set[int]) -> set[int]:
    """Return which of the indexes belong to keys, deleted ones included."""
    if not indexes:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status_index FROM licenses_licensekey WHERE status_list_id = %s "  # noqa: S608 (no foreign text)
            f"AND status_index IN ({', '.join(['%s'] * len(indexes))})",
            [status_list.pk, *indexes],
        )
        return {index for (index,) in cursor.fetchall()}


@lru_cache(maxsize=64)
def decoys(seed: bytes, size: int) -> frozenset[int]:
    """Return the indexes of a list that belong to no key and are always refused.

    Their number depends on the secret seed too, so that a list does not reveal how many keys the
    vendor has refused, or how many customers there are.
    """
    generator = random.Random(seed)  # noqa: S311 - reproducible from a secret seed, not a secret itself
    return frozenset(generator.sample(range(size), generator.randint(size // 500, size // 200)))


def entries(status_list: StatusList, now: datetime) -> dict[int, Entry]:
    """Return the entries of a list that are not VALID, by index; one query, decoys included."""
    subscription = "license__subscription__"
    refused = (
        Q(state__in=[KeyState.REPLACED, KeyState.DELETED])
        | Q(revoked_at__isnull=False)
        | Q(state=KeyState.SUPERSEDED, accepted_until__lte=now)
        | Q(signing_key__state=SigningKeyState.DISABLED)
        | Q((f"{subscription}state", State.ENDED))
    )
    suspended = Q((f"{subscription}state__in", [State.SUSPENDED, State.PENDING])) | Q(
        (f"{subscription}ends_at__lte", now)
    )
    found = (
        LicenseKey.objects.filter(refused | suspended, status_list=status_list)
        .filter(expires_at__gt=now - LEAVES_AFTER)
        .annotate(
            entry=Case(When(refused, Value(int(Entry.INVALID))), default=Value(Entry.SUSPENDED))
        )
        .order_by()
        .values_list("status_index", "entry")
    )
    known = decoys(bytes(status_list.decoy_seed), status_list.size)
    return dict.fromkeys(known, Entry.INVALID) | {i: Entry(entry) for i, entry in found}


def compressed(values: Mapping[int, int], size: int, *, bits: int = BITS) -> str:
    """Return the `lst` of a list of `size` entries, where those not given are 0 (section 4.2).

    The same entries give the same text.
    """
    per_byte = 8 // bits
    packed = bytearray((size + per_byte - 1) // per_byte)
    for index, value in values.items():
        byte, place = divmod(index, per_byte)
        packed[byte] |= value << (place * bits)
    return base64url(zlib.compress(bytes(packed), level=9))


def read_entry(lst: str, index: int, *, bits: int) -> int:
    """Return the entry at an index of a fetched list (section 8.3).

    Raises ValueError for malformed lists, for an index outside the list, and beyond
    MAX_LIST_BYTES.
    """
    if bits not in {1, 2, 4, 8}:
        raise ValueError("A status list has 1, 2, 4 or 8 bits for each entry.")
    opened = zlib.decompressobj()
    try:
        data = base64.b64decode(lst + "=" * (-len(lst) % 4), altchars=b"-_", validate=True)
        packed = opened.decompress(data, MAX_LIST_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError("This is not a compressed status list.") from error
    if opened.unconsumed_tail or not opened.eof:
        raise ValueError(f"This status list is cut, or has more than {MAX_LIST_BYTES} bytes.")
    byte, place = divmod(index, 8 // bits)
    if index < 0 or byte >= len(packed):
        raise ValueError(f"This status list has no entry {index}.")
    return packed[byte] >> (place * bits) & ((1 << bits) - 1)


def _open_list(number: int) -> StatusList:
    try:
        with transaction.atomic():
            return StatusList.objects.create(number=number, decoy_seed=secrets.token_bytes(32))
    except IntegrityError:
        return StatusList.objects.get(number=number)
