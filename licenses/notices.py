"""Mails about license keys: what was done to them, and what is to do now."""

from licenses.models import License
from portal.core.actors import Actor
from portal.core.links import public_link
from portal.tenants.models import Topic
from portal.tenants.notices import Words, by, notify


def notify_of_keys(
    license: License, *, what: str, actor: Actor, consequence: Words, reason: str = ""
) -> None:
    """Queue a mail about a change to the keys, in the flow's transaction.

    `what` is the news but for who did it, such as "Primary key of Field tools was reset".
    """
    notify(
        license.tenant_id,
        topic=Topic.KEYS,
        actor=actor,
        subject=f"{what} by {by(actor)}",
        reason=reason,
        consequence=consequence,
        lead="Open the subscription",
        link=public_link(license.subscription.get_absolute_url()),
    )
