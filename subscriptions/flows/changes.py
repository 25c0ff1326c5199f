"""What flows that change a subscription end with: the log row, and the mail."""

from collections.abc import Mapping
from datetime import datetime

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.links import public_link, support_link
from portal.tenants.models import Topic
from portal.tenants.notices import by, notify
from subscriptions.models import Subscription


def change_and_record(
    locked: Subscription,
    values: Mapping[str, object],
    *,
    actor: Actor,
    reason: str,
    now: datetime | None = None,
) -> None:
    """Store these fields of a locked subscription, and record what differs, if anything does.

    Raises Refused when the fields are inconsistent.
    """
    details = change(locked, values)
    if details is not None:
        record(
            actor=actor,
            action=Action.SUBSCRIPTION_CHANGED,
            tenant_id=locked.tenant_id,
            subscription=locked,
            reason=reason,
            details=details,
            now=now,
        )


def notify_of_subscription(
    locked: Subscription, *, what: str, actor: Actor, reason: str, consequence: str
) -> None:
    """Queue a mail about a change of the subscription, in the flow's transaction.

    `what` is the news but for who did it, such as "Subscription Field tools was suspended".
    """
    notify(
        locked.tenant_id,
        topic=Topic.SUBSCRIPTION,
        actor=actor,
        subject=f"{what} by {by(actor)}",
        reason=reason,
        consequence=consequence,
        support=support_link().removeprefix("mailto:"),
        lead="Open the subscription",
        link=public_link(locked.get_absolute_url()),
    )
