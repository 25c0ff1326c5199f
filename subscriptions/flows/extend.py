"""Set, move or remove the end date of a subscription."""

from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.flows.changes import change_and_record, notify_of_subscription
from subscriptions.models import State, Subscription

LONGER = (
    "License keys keep the expiry with which they were signed. Where the end date had cut it "
    "short, a reset gives the longer one: reset one key, install it, check it, then reset the "
    "other."
)
SHORTER = "Checks of its license keys are refused from that moment on."


@transaction.atomic
def extend_subscription(
    *,
    subscription: Subscription,
    ends_at: datetime | None,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> Subscription:
    """Give the subscription this end date (None: no end) and return it.

    One that ended because its end date passed returns to the state it had. License keys keep the
    expiry with which they were signed. Raises Refused when an operator ended it, or when the date
    lies in the past or before the start.
    """
    now = now or timezone.now()
    locked = lock(Subscription, subscription.pk)
    if locked.state == State.ENDED:
        raise Refused("This subscription was ended for good; its end date cannot be moved.")
    if locked.ends_at == ends_at:
        return locked
    if ends_at is not None and ends_at <= max(now, locked.starts_at):
        raise Refused(
            "The end must lie in the future and after the start. To end it now, choose End.",
            field="ends_at",
        )
    is_longer = ends_at is None or (locked.ends_at is not None and ends_at > locked.ends_at)
    change_and_record(locked, {"ends_at": ends_at}, actor=actor, reason=reason, now=now)
    end = f"now ends on {moment(ends_at, UTC)}" if ends_at else "has no end date any more"
    notify_of_subscription(
        locked,
        what=f"Subscription {locked.name} {end}: it was changed",
        actor=actor,
        reason=reason,
        consequence=LONGER if is_longer else SHORTER,
    )
    return locked
