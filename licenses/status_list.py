"""Token Status List: which entry of which list stands for a license key (contract.md 8)."""

import secrets

from django.db import IntegrityError, transaction

from licenses.models import LicenseKey, StatusList

FULLEST = 0.5
"""The share of a list that is given out: random picks stay quick, and the rest are decoys."""


def pick() -> tuple[StatusList, int]:
    """Return a list and an index in it that no key has had yet.

    Nothing is reserved: the unique constraint of (list, index) decides when the key is stored,
    and who loses picks again.
    """
    newest = StatusList.objects.order_by("-number").first()
    if newest is None or newest.keys.count() >= newest.size * FULLEST:
        newest = _open_list((newest.number if newest else 0) + 1)
    while True:
        index = secrets.randbelow(newest.size)
        if not is_taken(newest, index):
            return newest, index


def is_taken(status_list: StatusList, index: int) -> bool:
    """Return whether the index stands for a key, deleted ones included."""
    return LicenseKey.objects.filter(status_list=status_list, status_index=index).exists()


def _open_list(number: int) -> StatusList:
    try:
        with transaction.atomic():
            return StatusList.objects.create(number=number, decoy_seed=secrets.token_bytes(32))
    except IntegrityError:
        return StatusList.objects.get(number=number)
