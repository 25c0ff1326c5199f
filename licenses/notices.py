"""Mails about license keys: what was done to them, and what is to do now."""

from datetime import datetime

from licenses.models import License, LicenseKey, Slot
from portal.core.actors import Actor
from portal.core.dates import moment_beside_utc, remaining
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


def notify_of_overlap_end(key: LicenseKey, *, until: datetime, use: str, now: datetime) -> None:
    """Queue a mail that an old key, which terminals still use, soon stops; `use` says how."""
    slot, subscription = Slot(key.slot), key.license.subscription
    notify(
        key.tenant_id,
        topic=Topic.EXPIRY,
        subject=f"The old {slot} key of {subscription} stops working in {remaining(until, now)}",
        consequence=lambda: (
            f"Terminals still use it: {use}. Install the new {slot} key on them before "
            f"{moment_beside_utc(until)}: an overlap cannot be extended, and terminals without "
            "the new key do not start from then."
        ),
        lead="Open the subscription",
        link=public_link(subscription.get_absolute_url()),
    )
