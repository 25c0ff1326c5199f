"""What nobody does and the worker notices: it is recorded, and so told to webhooks, once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from licenses import notices
from licenses.checking.results import Result
from licenses.checking.use import Use, read_use
from licenses.models import CheckCount, KeyState, LicenseKey
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.locking import lock
from portal.core.steps import read_in_steps
from portal.mail.worker import do_each
from subscriptions.models import State, Subscription

BEFORE_END = timedelta(days=1)
"""How long before its end an overlap is told; of a shorter one the reset tells alone."""

MAX_LATE = timedelta(days=7)
"""How long after an end date it is still news."""

KEYS_AT_A_TIME = 500


def notice_rotations(*, now: datetime | None = None) -> int:
    """Record the first check of keys that a reset signed, from the counts; return how many.

    Keys that were replaced, deleted or revoked unchecked are not waited for any longer.
    """
    now = now or timezone.now()
    waiting = LicenseKey.objects.filter(awaits_first_check=True)
    waiting.exclude(state=KeyState.CURRENT, revoked_at=None, expires_at__gt=now).update(
        awaits_first_check=False
    )
    return _each(waiting.filter(Exists(_checks(OuterRef("pk")))), _record_first_check, now)


def notice_overlaps(*, now: datetime | None = None) -> int:
    """Record the overlaps that end within BEFORE_END; return how many."""
    now = now or timezone.now()
    ending = LicenseKey.objects.overlapping(now).filter(
        overlap_end_told=False,
        accepted_until__lte=now + BEFORE_END,
        accepted_until__gt=F("replaced_at") + BEFORE_END,
    )
    return _each(ending, _record_overlap_end, now)


def notice_ends(*, now: datetime | None = None) -> int:
    """Record the end dates of subscriptions that have passed; return how many."""
    now = now or timezone.now()
    ended = Subscription.objects.exclude(state=State.ENDED).filter(
        ends_at__gt=now - MAX_LATE, ends_at__lte=now
    )
    found = list(ended.values_list("pk", flat=True))
    return sum(do_each(found, lambda pk: _record_end(pk, now), what="End of subscription"))


def _each(
    keys: QuerySet[LicenseKey], do: Callable[[LicenseKey, datetime], bool], now: datetime
) -> int:
    rows = read_in_steps(keys.select_related("license__subscription"), KEYS_AT_A_TIME)
    return sum(do_each(rows, lambda key: do(key, now), what="Noticing"))


def _checks(key: Any) -> QuerySet[CheckCount]:
    return CheckCount.objects.filter(license_key=key, result=Result.VALID)


@transaction.atomic
def _record_first_check(key: LicenseKey, now: datetime) -> bool:
    if not _is_first(key, awaits_first_check=(True, False)):
        return False
    first = _checks(key.pk).earliest("hour").last_at
    _record(key, Action.ROTATION_COMPLETED, now, first_checked_at=first.isoformat())
    return True


@transaction.atomic
def _record_overlap_end(key: LicenseKey, now: datetime) -> bool:
    if not _is_first(key, overlap_end_told=(False, True)):
        return False
    until = key.accepted_until
    assert until is not None
    _record(key, Action.OVERLAP_ENDING, now, accepted_until=until.isoformat())
    use = read_use([key], now).get(key.pk, Use())
    if _is_used_still(key, use, now):
        notices.notify_of_overlap_end(key, until=until, use=use.sentence(now), now=now)
    return True


def _is_used_still(key: LicenseKey, use: Use, now: datetime) -> bool:
    """Return whether terminals start and have asked with the old key lately, since its reset."""
    if key.license.subscription.state_at(now) != State.ACTIVE or key.replaced_at is None:
        return False
    return use.last_at is not None and use.last_at > max(key.replaced_at, now - BEFORE_END)


def _is_first(key: LicenseKey, **mark: tuple[bool, bool]) -> bool:
    """Change a mark of the key from one value to another; return whether no other worker did."""
    [(name, (before, after))] = mark.items()
    return bool(LicenseKey.objects.filter(pk=key.pk, **{name: before}).update(**{name: after}))


def _record(key: LicenseKey, action: Action, now: datetime, **details: Any) -> None:
    record(
        actor=SYSTEM,
        action=action,
        tenant_id=key.tenant_id,
        subscription=key.license.subscription,
        slot=key.slot,
        details={"jti": str(key.jti), **details},
        now=now,
    )


@transaction.atomic
def _record_end(subscription_id: Any, now: datetime) -> bool:
    subscription = lock(Subscription, subscription_id)
    ends_at = subscription.ends_at
    if ends_at is None or ends_at > now or subscription.state == State.ENDED:
        return False
    details = {"ends_at": ends_at.isoformat()}
    rows = LogEntry.objects.for_tenant(subscription.tenant_id).for_subscription(subscription.pk)
    told = rows.of_action(Action.SUBSCRIPTION_RAN_OUT).filter(at__gte=ends_at)
    if told.filter(details__ends_at=details["ends_at"]).exists():
        return False
    record(
        actor=SYSTEM,
        action=Action.SUBSCRIPTION_RAN_OUT,
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        details=details,
        now=now,
    )
    return True
