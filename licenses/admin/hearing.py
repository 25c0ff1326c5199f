"""Why a terminal hears what it hears of a license key, since when, and what the customer does."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from licenses.checking.check import Verdict
from licenses.checking.results import Result
from licenses.figures.needs import advice_on
from licenses.models import ANSWERED, LicenseKey, SigningKey
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.core.dates import moment
from subscriptions.models import State, Subscription

DOWNLOADED_ANEW = {Result.REPLACED, Result.SUPERSEDED, Result.REVOKED, Result.EXPIRED}
"""Results that another key of the same slot puts right."""


BY_RESET = {Result.REPLACED, Result.SUPERSEDED}

WITHOUT_KEYS = {
    State.PENDING: Result.SUBSCRIPTION_PENDING,
    State.SUSPENDED: Result.SUBSCRIPTION_SUSPENDED,
    State.ENDED: Result.SUBSCRIPTION_ENDED,
}
"""What stands in the way of a new key, by the state of the subscription."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What operators tell of a verdict on a key.

    `since` is None where nothing tells when it began. `successor` came into the slot after the key.
    """

    since: datetime | None
    why: str
    todo: str
    successor: LicenseKey | None


def account_of(key: LicenseKey, verdict: Verdict) -> Account:
    """Return why the key has this verdict; its license, subscription and tenant are read before."""
    is_later = Q(issued_at__gt=key.issued_at) | Q(issued_at=key.issued_at, pk__gt=key.pk)
    later = LicenseKey.objects.filter(is_later, license=key.license_id, slot=key.slot)
    successor = later.defer("token").order_by("issued_at", "pk").first()
    tell = _CAUSES.get(verdict.result)
    since, why = tell(key, successor) if tell else (None, "")
    return Account(
        since=since,
        why=why if verdict.result in BY_RESET else f"{verdict.result.sentence} {_ended_with(why)}",
        todo=_todo(key, verdict, has_another=later.current().accepted(verdict.checked_at).exists()),
        successor=successor,
    )


def _ended_with(why: str) -> str:
    """Return what an operator wrote as a sentence, which others follow."""
    return why if not why or why.rstrip()[-1:] in {*".!?"} else f"{why.rstrip()}."


def in_use(subscription: Subscription, now: datetime) -> list[LicenseKey]:
    """Return the keys that are in the subscription's slots now, and those in an overlap."""
    keys = LicenseKey.objects.filter(license__subscription=subscription, state__in=ANSWERED)
    found = keys.defer("token").order_by("slot", "-issued_at")
    return [key for key in found if key.is_in_use(now)]


def _todo(key: LicenseKey, verdict: Verdict, *, has_another: bool) -> str:
    slot, subscription = key.get_slot_display().lower(), key.license.subscription
    if verdict.result == Result.VALID:
        return (
            "Nothing is wrong with the key. A terminal that is refused all the same sends "
            "another application, tenant or subscription: its own answer names it."
        )
    if verdict.result not in DOWNLOADED_ANEW:
        return advice_on(verdict.result)
    state = subscription.state_at(verdict.checked_at)
    if state in WITHOUT_KEYS:
        return f"{WITHOUT_KEYS[state].sentence} {advice_on(WITHOUT_KEYS[state])}"
    if has_another:
        return f"Download the {slot} key of {subscription} and install it in place of this one."
    return f"Reset the {slot} key of {subscription}, download the new one and install it."


type Cause = tuple[datetime | None, str]


def _superseded(key: LicenseKey, successor: LicenseKey | None) -> Cause:
    assert key.replaced_at is not None
    who = successor.created_by_name if successor else "Somebody"
    slot = key.get_slot_display().lower()
    at = moment(key.replaced_at)
    return key.replaced_at, f"{who} replaced it by a reset of the {slot} key on {at}."


def _replaced(key: LicenseKey, successor: LicenseKey | None) -> Cause:
    reset_at, why = _superseded(key, successor)
    since = key.accepted_until
    if since is None or since == reset_at:
        return reset_at, why
    return since, f"{why} It was accepted beside the new one until {moment(since)}."


def _revoked(key: LicenseKey, _: LicenseKey | None) -> Cause:
    rows = LogEntry.objects.for_tenant(key.tenant_id).of_action(Action.KEY_REVOKED)
    row = rows.filter(details__jti=str(key.jti)).first()
    return key.revoked_at, f"{row.actor_name} revoked it: {row.reason}" if row else ""


def _deleted(key: LicenseKey, _: LicenseKey | None) -> Cause:
    by = key.license.deleted_by_name
    return key.deleted_at, f"{by} deleted both license keys." if by else ""


def _suspended(key: LicenseKey, _: LicenseKey | None) -> Cause:
    return key.license.subscription.state_since, key.license.subscription.state_reason


def _ended(key: LicenseKey, _: LicenseKey | None) -> Cause:
    subscription = key.license.subscription
    since, why = _suspended(key, None)
    at = subscription.ends_at
    return (since, why) if at is None or (since and since < at) else (at, "Its end date passed.")


def _withdrawn(key: LicenseKey, _: LicenseKey | None) -> Cause:
    signing_key = SigningKey.objects.defer("private_key").get(pk=key.signing_key_id)
    at = signing_key.disabled_at
    return at, f"The signing key {signing_key.kid[:8]} that signed it is disabled." if at else ""


_CAUSES: dict[Result, Callable[[LicenseKey, LicenseKey | None], Cause]] = {
    Result.REPLACED: _replaced,
    Result.SUPERSEDED: _superseded,
    Result.REVOKED: _revoked,
    Result.DELETED: _deleted,
    Result.SUBSCRIPTION_SUSPENDED: _suspended,
    Result.SUBSCRIPTION_ENDED: _ended,
    Result.SIGNING_KEY_UNKNOWN: _withdrawn,
    Result.EXPIRED: lambda key, _: (key.expires_at, ""),
}
