"""Set, move or remove the end date of a subscription."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.refusal import Refused
from subscriptions.locking import lock
from subscriptions.models import State, Subscription


@transaction.atomic
def extend(
    *,
    subscription: Subscription,
    ends_at: datetime | None,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> Subscription:
    """Give the subscription this end date (None: no end) and return it.

    One that ended because its end date passed comes back to the state it had. License keys keep
    the expiry they were signed with. Raises Refused when an operator ended it, or when the date
    lies in the past or before the start.
    """
    now = now or timezone.now()
    locked = lock(subscription.pk)
    if locked.state == State.ENDED:
        raise Refused("This subscription was ended for good; its end date can not be moved.")
    if locked.ends_at == ends_at:
        return locked
    if ends_at is not None and ends_at <= max(now, locked.starts_at):
        raise Refused(
            "The end must lie in the future and after the start. To end it now, choose End.",
            field="ends_at",
        )
    details = {
        "before": {"ends_at": _told(locked.ends_at)},
        "after": {"ends_at": _told(ends_at)},
    }
    locked.ends_at = ends_at
    locked.save(update_fields=["ends_at"])
    activity.record(
        actor=actor,
        action=Action.SUBSCRIPTION_CHANGED,
        tenant_id=locked.tenant_id,
        subscription=locked,
        reason=reason,
        details=details,
        now=now,
    )
    return locked


def _told(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
