"""What was issued: licenses, license keys, signing keys, status lists, counts of checks."""

from licenses.models.check_counts import CheckCount
from licenses.models.figures import Figures
from licenses.models.idempotent_requests import IdempotentRequest
from licenses.models.licenses import (
    ANSWERED,
    KeyState,
    License,
    LicenseKey,
    LicenseKeyQuerySet,
    LicenseQuerySet,
    Slot,
    Usage,
)
from licenses.models.signing_keys import (
    VERIFYING,
    SigningKey,
    SigningKeyQuerySet,
    SigningKeyState,
)
from licenses.models.status_lists import StatusList
from licenses.models.subscriptions import LicensedSubscriptions

__all__ = [
    "ANSWERED",
    "VERIFYING",
    "CheckCount",
    "Figures",
    "IdempotentRequest",
    "KeyState",
    "License",
    "LicenseKey",
    "LicenseKeyQuerySet",
    "LicenseQuerySet",
    "LicensedSubscriptions",
    "SigningKey",
    "SigningKeyQuerySet",
    "SigningKeyState",
    "Slot",
    "StatusList",
    "Usage",
]
