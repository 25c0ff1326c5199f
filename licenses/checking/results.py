"""One vocabulary for the result of a check (contract.md section 4)."""

from dataclasses import dataclass

from django.db.models import TextChoices


class Step(TextChoices):
    """The steps of a check, in their order; the first that fails decides the result."""

    FORM = "form", "Form"
    SIGNATURE = "signature", "Signature"
    REQUEST = "request", "Request"
    RECORD = "record", "Record"
    SLOT = "slot", "Slot"
    KEY = "key", "License key"
    SUBSCRIPTION = "subscription", "Subscription"
    TIME = "time", "Time"


class Result(TextChoices):
    """The result of a check, in the order of the steps; the label is a short title for people."""

    VALID = "valid", "Valid"
    SUPERSEDED = "superseded", "Superseded, still accepted"
    MALFORMED = "malformed", "Not a license key"
    SIGNING_KEY_UNKNOWN = "signing_key_unknown", "Signing key unknown"
    SIGNATURE_INVALID = "signature_invalid", "Signature invalid"
    ISSUER_MISMATCH = "issuer_mismatch", "Different issuer"
    TENANT_MISMATCH = "tenant_mismatch", "Different tenant"
    SUBJECT_MISMATCH = "subject_mismatch", "Different subscription"
    PARTY_MISMATCH = "party_mismatch", "Different authorized party"
    PROVIDER_MISMATCH = "provider_mismatch", "Different provider"
    AUDIENCE_MISMATCH = "audience_mismatch", "Different audience"
    APPLICATION_NOT_AUTHORIZED = "application_not_authorized", "Application not authorized"
    UNKNOWN = "unknown", "No record of this key"
    KEY_TYPE_MISMATCH = "key_type_mismatch", "Different slot"
    DELETED = "deleted", "Deleted"
    REVOKED = "revoked", "Revoked"
    REPLACED = "replaced", "Replaced"
    SUBSCRIPTION_PENDING = "subscription_pending", "Subscription pending"
    SUBSCRIPTION_SUSPENDED = "subscription_suspended", "Subscription suspended"
    SUBSCRIPTION_ENDED = "subscription_ended", "Subscription ended"
    NOT_YET_VALID = "not_yet_valid", "Not yet valid"
    EXPIRED = "expired", "Expired"

    @property
    def passes(self) -> bool:
        """Whether a terminal may start."""
        return self in PASSING

    @property
    def exit_status(self) -> int:
        """The exit status of `manage.py check_license`."""
        return _EXIT_STATUSES[self]

    @property
    def step(self) -> Step | None:
        """The step that has this result; None for the results that pass."""
        return _TEXTS[self].step

    @property
    def sentence(self) -> str:
        """A sentence that describes the result; it has no braces."""
        return _TEXTS[self].sentence

    @property
    def advice(self) -> str:
        """A sentence that says what to do about it."""
        return _TEXTS[self].advice


PASSING = {Result.VALID, Result.SUPERSEDED}
"""The results with which a terminal may start."""

_EXIT_STATUSES = {
    Result.VALID: 0,
    Result.SUPERSEDED: 0,
    Result.MALFORMED: 10,
    Result.SIGNING_KEY_UNKNOWN: 11,
    Result.SIGNATURE_INVALID: 12,
    Result.ISSUER_MISMATCH: 13,
    Result.TENANT_MISMATCH: 14,
    Result.SUBJECT_MISMATCH: 15,
    Result.PARTY_MISMATCH: 16,
    Result.PROVIDER_MISMATCH: 17,
    Result.AUDIENCE_MISMATCH: 18,
    Result.APPLICATION_NOT_AUTHORIZED: 19,
    Result.UNKNOWN: 20,
    Result.KEY_TYPE_MISMATCH: 21,
    Result.DELETED: 22,
    Result.REVOKED: 23,
    Result.REPLACED: 24,
    Result.SUBSCRIPTION_PENDING: 25,
    Result.SUBSCRIPTION_SUSPENDED: 26,
    Result.SUBSCRIPTION_ENDED: 27,
    Result.NOT_YET_VALID: 28,
    Result.EXPIRED: 29,
}
"""Scripts compare these numbers, so that none is ever changed or used again."""


@dataclass(frozen=True)
class _Text:
    step: Step | None
    sentence: str
    advice: str


_SAME_FILE = "Download the license file again and use its members together, unchanged."

_TEXTS: dict[Result, _Text] = {
    Result.VALID: _Text(None, "The license key is valid.", "There is nothing to do."),
    Result.SUPERSEDED: _Text(
        None,
        "The license key was replaced by a reset and is still accepted for a while.",
        "Install the new key of this slot before the overlap ends.",
    ),
    Result.MALFORMED: _Text(
        Step.FORM,
        "This is not a license key.",
        "Copy the whole key, or download the license file again.",
    ),
    Result.SIGNING_KEY_UNKNOWN: _Text(
        Step.SIGNATURE,
        "The license key is signed by a signing key that is not accepted here.",
        "Use a key of this portal; where it is one, reset its slot to get a new one.",
    ),
    Result.SIGNATURE_INVALID: _Text(
        Step.SIGNATURE,
        "The signature of the license key is not valid.",
        "The key was changed on its way: copy it whole, or download the license file again.",
    ),
    Result.ISSUER_MISMATCH: _Text(
        Step.REQUEST,
        "The issuer is absent or differs from the license key.",
        "Set the terminal's issuer to the one that Inspect Claims shows.",
    ),
    Result.TENANT_MISMATCH: _Text(
        Step.REQUEST,
        "The consumer tenant is absent or differs from the license key.",
        "Use a key of this tenant, or set the consumer tenant id of the Identifiers page.",
    ),
    Result.SUBJECT_MISMATCH: _Text(
        Step.REQUEST,
        "The subject is absent or differs from the license key.",
        "Set the subject of the Identifiers page. " + _SAME_FILE,
    ),
    Result.PARTY_MISMATCH: _Text(
        Step.REQUEST,
        "The authorized party is absent or differs from the license key.",
        _SAME_FILE,
    ),
    Result.PROVIDER_MISMATCH: _Text(
        Step.REQUEST,
        "The license provider is absent or differs from the license key.",
        _SAME_FILE,
    ),
    Result.AUDIENCE_MISMATCH: _Text(
        Step.REQUEST,
        "The audience differs from the license key.",
        "Set the audience to the holder's name, or leave it out.",
    ),
    Result.APPLICATION_NOT_AUTHORIZED: _Text(
        Step.REQUEST,
        "The application is not authorized.",
        "Set the terminal's authorized application id to the one on the License Keys card.",
    ),
    Result.UNKNOWN: _Text(
        Step.RECORD,
        "There is no record of exactly this license key.",
        "Download the license file again.",
    ),
    Result.KEY_TYPE_MISMATCH: _Text(
        Step.SLOT,
        "The key type is absent or names the other slot.",
        _SAME_FILE,
    ),
    Result.DELETED: _Text(
        Step.KEY,
        "The license key was deleted.",
        "Generate new keys, and give terminals the new file and authorized application id.",
    ),
    Result.REVOKED: _Text(
        Step.KEY,
        "The license key was revoked by an operator.",
        "Ask the vendor why; a reset of the slot gives a new key.",
    ),
    Result.REPLACED: _Text(
        Step.KEY,
        "The license key was replaced by a reset.",
        "Download and install the new key of this slot.",
    ),
    Result.SUBSCRIPTION_PENDING: _Text(
        Step.SUBSCRIPTION,
        "The subscription is not activated yet.",
        "Activate the subscription on its page.",
    ),
    Result.SUBSCRIPTION_SUSPENDED: _Text(
        Step.SUBSCRIPTION,
        "The subscription is suspended.",
        "Ask the vendor to resume it.",
    ),
    Result.SUBSCRIPTION_ENDED: _Text(
        Step.SUBSCRIPTION,
        "The subscription has ended.",
        "Buy a new subscription, or ask the vendor to extend this one.",
    ),
    Result.NOT_YET_VALID: _Text(
        Step.TIME,
        "The license key is not valid yet.",
        "Check the clock; the key begins at the time that Inspect Claims shows.",
    ),
    Result.EXPIRED: _Text(
        Step.TIME,
        "The license key has expired.",
        "Reset the slot and install its new key.",
    ),
}
