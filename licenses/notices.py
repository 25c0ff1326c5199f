"""Mails about license keys: what was done to them, told to owners and managers."""

from licenses.models import License
from portal.actors import Actor
from portal.notices import tell_keepers
from subscriptions.links import page_of


def tell(license: License, *, what: str, actor: Actor, consequence: str) -> None:
    """Queue the notice that somebody did something to the keys, in the flow's transaction.

    `what` completes "<actor> ...", such as "reset the primary key".
    """
    subscription = license.subscription
    tell_keepers(
        license.tenant_id,
        subject=f"{subscription.name}: {what}",
        template="license_keys",
        actor=actor.name,
        what=what,
        consequence=consequence,
        subscription=subscription.name,
        link=page_of(subscription),
    )
