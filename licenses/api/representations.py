"""What the API tells of subscriptions, license keys, checks and the log."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

from licenses.checking.badges import badge_of
from licenses.checking.check import Verdict
from licenses.checking.use import Use, read_use
from licenses.flows.renew import renewable_from
from licenses.models import KeyState, License, LicenseKey, Slot, Usage
from licenses.reminders import ends_with
from portal.activity.models import LogEntry
from portal.core.actors import ActorKind
from subscriptions.models import BillingPeriod, Edition, State, Subscription
from subscriptions.service_tokens.models import Scope, ServiceToken


class TokenShown(TypedDict):
    """The service token that asks."""

    id: UUID
    name: str
    tenant_id: UUID
    tenant_name: str
    scopes: list[Scope]
    for_all_subscriptions: bool
    works_until: Annotated[datetime, "Expiry, or the end of the overlap after a rotation."]


class PlanShown(TypedDict):
    """The plan of a subscription."""

    code: str
    name: str
    edition: Edition
    billing_period: BillingPeriod


class SubscriptionShown(TypedDict):
    """A subscription."""

    id: Annotated[UUID, "The subscription identifier, `subject` in license files."]
    name: str
    state: Annotated[State, "Ended too when the end date has passed."]
    state_reason: Annotated[str, "Why the vendor suspended, resumed or ended it, if that says."]
    plan: PlanShown
    labels: list[str]
    created_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    has_keys: bool
    keys_expire_at: Annotated[
        datetime | None, "When the first current key that is not revoked expires."
    ]


class SubscriptionPage(TypedDict):
    """A page of subscriptions; the header Link leads to the next one."""

    subscriptions: list[SubscriptionShown]


class OldKeyShown(TypedDict):
    """The key before the current one, which is accepted in its overlap."""

    jti: UUID
    accepted_until: datetime
    last_checked_at: datetime | None


class KeyShown(TypedDict):
    """The license key in a slot, without the key itself: that is in the license file."""

    slot: Slot
    jti: Annotated[UUID, "The key's own identifier; a reset gives the slot another."]
    state: Annotated[
        Literal["valid", "expires_soon", "expired", "revoked", "withdrawn", "not_accepted"],
        "`withdrawn`: its signing key was disabled; `not_accepted`: the subscription is not "
        "active.",
    ]
    issued_at: datetime
    issued_by: str
    expires_at: datetime
    renewable_from: Annotated[
        datetime | None,
        "From when `renew` signs a successor; null where the key ends with its subscription.",
    ]
    revoked_at: datetime | None
    last_downloaded_at: datetime | None
    last_checked_at: Annotated[datetime | None, "By terminals, as reported by anyone with the key."]
    old: Annotated[OldKeyShown | None, "The key that is still accepted beside this one."]


class KeysShown(TypedDict):
    """The license of a subscription and the key in each slot."""

    subscription_id: UUID
    authorized_application_id: UUID
    usage: Usage
    holder_name: str
    country: str
    generated_at: datetime
    generated_by: str
    primary: KeyShown
    secondary: KeyShown


class RenewalShown(TypedDict):
    """What the slot has after a renewal."""

    renewed: Annotated[bool, "Whether this call signed the key; false when it was there already."]
    reason: Annotated[str | None, "Why this call signed nothing."]
    key: KeyShown


class OverlapEnded(TypedDict):
    """The old key that is refused from now on."""

    slot: Slot
    jti: UUID
    stopped_at: datetime


class StepShown(TypedDict):
    """One step of a check."""

    name: str
    outcome: Literal["passed", "failed", "skipped", "not reached"]


class VerdictShown(TypedDict):
    """The verdict of a check: the one that terminals get."""

    result: Annotated[str, "A word such as `valid`, `superseded` or `expired`; each has a page."]
    passes: Annotated[bool, "Whether a terminal with this key starts."]
    description: str
    advice: str
    checked_at: datetime
    accepted_until: Annotated[datetime | None, "The end of the overlap of a superseded key."]
    steps: list[StepShown]


class LogRow(TypedDict):
    """A row of the tenant's log, with the hash that chains it to the row before."""

    seq: Annotated[int, "Its number: rows of a tenant are counted from 1 without a gap."]
    id: int
    tenant_id: UUID
    at: Annotated[str, {"format": "date-time"}, "To the microsecond, which the hash covers."]
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str
    actor_email: str
    action: str
    what: Annotated[str, "The action in words; not covered by the hash."]
    subscription_id: UUID | None
    subscription_name: str
    slot: str
    result: str
    reason: str
    details: dict[str, Any]
    address: str
    previous: Annotated[str, "The hash of the row before; empty for the first."]
    hash: Annotated[
        str, "HMAC-SHA-256 with the vendor's key over the other columns and `previous`."
    ]
    hash_version: int | None


class LogPage(TypedDict):
    """A page of the log, the newest row first; the header Link leads to older ones."""

    entries: list[LogRow]


def token_shown(token: ServiceToken) -> TokenShown:
    """Return what a token is told of itself."""
    return {
        "id": token.pk,
        "name": token.name,
        "tenant_id": token.tenant_id,
        "tenant_name": token.tenant.name,
        "scopes": [Scope(scope) for scope in token.scopes],
        "for_all_subscriptions": token.for_all_subscriptions,
        "works_until": token.works_until,
    }


def subscription_shown(row: Any, now: datetime) -> SubscriptionShown:
    """Return a subscription with its plan, after `read_license_state`."""
    plan = row.plan
    return {
        "id": row.pk,
        "name": row.name,
        "state": row.state_at(now),
        "state_reason": row.state_reason,
        "plan": {
            "code": plan.code,
            "name": plan.name,
            "edition": plan.edition,
            "billing_period": plan.billing_period,
        },
        "labels": row.label_list,
        "created_at": row.created_at,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "has_keys": row.has_keys,
        "keys_expire_at": row.keys_expire_at,
    }


def keys_shown(license: License, slots: Mapping[Slot, KeyShown]) -> KeysShown:
    """Return a license and what `slots_shown` told of its slots."""
    return {
        "subscription_id": license.subscription_id,
        "authorized_application_id": license.authorized_application_id,
        "usage": Usage(license.usage),
        "holder_name": license.holder_name,
        "country": license.country,
        "generated_at": license.created_at,
        "generated_by": license.created_by_name,
        "primary": slots[Slot.PRIMARY],
        "secondary": slots[Slot.SECONDARY],
    }


def slots_shown(
    license: License, now: datetime, keys: Iterable[LicenseKey] | None = None
) -> Mapping[Slot, KeyShown]:
    """Return what is in each slot now, in two queries; nothing after a Delete.

    `keys` are what a flow has put into the slots: those are told, whatever came after it.
    """
    found = list(license.keys.current_and_replaced_since(now, now).with_signing_key())
    shown = [key for key in found if key.state == KeyState.CURRENT] if keys is None else list(keys)
    uses = read_use(list({*found, *shown}), now)
    old = {
        key.slot: key
        for key in found
        if key.state == KeyState.SUPERSEDED and not (key.revoked_at or key.withdrawn_at)
    }
    return {
        Slot(key.slot): _key_shown(key, old.get(key.slot), license.subscription, uses, now)
        for key in shown
    }


def _key_shown(
    key: LicenseKey,
    old: LicenseKey | None,
    subscription: Subscription,
    uses: Mapping[int, Use],
    now: datetime,
) -> KeyShown:
    return {
        "slot": Slot(key.slot),
        "jti": key.jti,
        "state": _standing(key, subscription, now),
        "issued_at": key.issued_at,
        "issued_by": key.created_by_name,
        "expires_at": key.expires_at,
        "renewable_from": None
        if ends_with(key, subscription) and key.withdrawn_at is None
        else renewable_from(key),
        "revoked_at": key.revoked_at,
        "last_downloaded_at": key.last_downloaded_at,
        "last_checked_at": uses.get(key.pk, Use()).last_at,
        "old": None
        if old is None or old.accepted_until is None or old == key
        else {
            "jti": old.jti,
            "accepted_until": old.accepted_until,
            "last_checked_at": uses.get(old.pk, Use()).last_at,
        },
    }


def _standing(key: LicenseKey, subscription: Subscription, now: datetime) -> Any:
    """Return the badge that pages show, as a word."""
    return badge_of(key, subscription, now).label.lower().replace(" ", "_")


def verdict_shown(verdict: Verdict) -> VerdictShown:
    """Return the verdict of a check."""
    return {
        "result": verdict.result.value,
        "passes": verdict.passes,
        "description": verdict.description,
        "advice": verdict.result.advice,
        "checked_at": verdict.checked_at,
        "accepted_until": verdict.accepted_until,
        "steps": [{"name": name, "outcome": outcome.value} for name, outcome in verdict.steps()],
    }


def log_row(entry: LogEntry) -> LogRow:
    """Return a row with everything that its hash covers."""
    return {
        "seq": entry.seq,
        "id": entry.pk,
        "tenant_id": entry.tenant_id,
        "at": entry.at.astimezone(UTC).isoformat(),
        "actor_kind": ActorKind(entry.actor_kind),
        "actor_id": entry.actor_id,
        "actor_name": entry.actor_name,
        "actor_email": entry.actor_email,
        "action": entry.action,
        "what": entry.describe(),
        "subscription_id": entry.subscription_id,
        "subscription_name": entry.subscription_name,
        "slot": entry.slot,
        "result": entry.result,
        "reason": entry.reason,
        "details": entry.details,
        "address": entry.address,
        "previous": entry.previous,
        "hash": entry.hash,
        "hash_version": entry.hash_version,
    }
