"""What changes licenses and license keys; one file a use case."""

from licenses.flows.check import check_presented, check_stored
from licenses.flows.delete import delete
from licenses.flows.delete import refuse_unless_there as refuse_unless_deletable
from licenses.flows.download import download
from licenses.flows.end_overlap import end_overlap
from licenses.flows.generate import generate
from licenses.flows.generate import refuse_unless_ready as refuse_unless_generatable
from licenses.flows.reset import Overlap, reset
from licenses.flows.reset import refuse_unless_ready as refuse_unless_resettable
from licenses.flows.revoke import revoke
from licenses.flows.signing_keys import (
    activate_signing_key,
    create_signing_key,
    disable_signing_key,
    living_keys,
    rotate_signing_key,
    signs_from,
)

__all__ = [
    "Overlap",
    "activate_signing_key",
    "check_presented",
    "check_stored",
    "create_signing_key",
    "delete",
    "disable_signing_key",
    "download",
    "end_overlap",
    "generate",
    "living_keys",
    "refuse_unless_deletable",
    "refuse_unless_generatable",
    "refuse_unless_resettable",
    "reset",
    "revoke",
    "rotate_signing_key",
    "signs_from",
]
