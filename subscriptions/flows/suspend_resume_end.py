"""Suspend, resume and end a subscription: only operators do it, with a reason."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.flows.changes import change_and_record, notify_of_subscription
from subscriptions.models import State, Subscription

WORDS = {State.SUSPENDED: "suspended", State.ACTIVE: "resumed", State.ENDED: "ended"}

CONSEQUENCES = {
    State.SUSPENDED: "Every check of its license keys is refused: terminals do not start on them. "
    "The same keys pass again once the subscription is resumed.",
    State.ACTIVE: "Its license keys pass checks again, and terminals start on them.",
    State.ENDED: "Terminals do not start on its license keys any more, and nothing brings it back. "
    "To go on, buy a subscription, generate its license keys and install them.",
}
"""What a customer should know, and do, after the change to each state."""


def suspend_subscription(
    *, subscription: Subscription, actor: Actor, reason: str, now: datetime | None = None
) -> Subscription:
    """Suspend an active subscription: checks of its license keys are refused until it resumes.

    A suspended one is returned as it is. Raises Refused when it is pending, was ended, or has
    passed its end date.
    """
    return _move(subscription, actor, reason, now, {State.ACTIVE}, State.SUSPENDED)


def resume_subscription(
    *, subscription: Subscription, actor: Actor, reason: str, now: datetime | None = None
) -> Subscription:
    """Make a suspended subscription active again; raises Refused when it is pending or ended."""
    return _move(subscription, actor, reason, now, {State.SUSPENDED}, State.ACTIVE)


def end_subscription(
    *, subscription: Subscription, actor: Actor, reason: str, now: datetime | None = None
) -> Subscription:
    """End a subscription permanently; one that was ended before is returned as it is."""
    return _move(
        subscription,
        actor,
        reason,
        now,
        {State.PENDING, State.ACTIVE, State.SUSPENDED},
        State.ENDED,
    )


@transaction.atomic
def _move(
    subscription: Subscription,
    actor: Actor,
    reason: str,
    now: datetime | None,
    before: set[State],
    after: State,
) -> Subscription:
    now, locked = now or timezone.now(), lock(Subscription, subscription.pk)
    if locked.state == after:
        return locked
    if locked.state not in before:
        raise Refused(
            f"This subscription is {locked.get_state_display().lower()}; it cannot become "
            f"{after.label.lower()}."
        )
    if after == State.SUSPENDED and locked.state_at(now) == State.ENDED:
        raise Refused("This subscription has ended; it cannot be suspended.")
    change_and_record(locked, {"state": after}, actor=actor, reason=reason, now=now)
    locked.state_since, locked.state_reason = now, reason
    locked.save(update_fields=["state_since", "state_reason"])
    notify_of_subscription(
        locked,
        what=f"Subscription {locked.name} was {WORDS[after]}",
        actor=actor,
        reason=reason,
        consequence=CONSEQUENCES[after],
    )
    return locked
