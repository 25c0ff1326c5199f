"""Mails about license keys: owners and managers learn what was done to them."""

from licenses.models import License
from portal.core.actors import Actor
from portal.core.links import public_link
from portal.tenants.notices import notify_key_managers


def notify_key_managers_of(license: License, *, what: str, actor: Actor, consequence: str) -> None:
    """Queue a mail about a change to the keys, in the flow's transaction.

    `what` completes "<actor> ...", such as "reset the primary key".
    """
    subscription = license.subscription
    notify_key_managers(
        license.tenant_id,
        subject=f"{subscription.name}: {what}",
        template="license_keys",
        actor=actor.name,
        what=what,
        consequence=consequence,
        subscription=subscription.name,
        link=public_link(subscription.get_absolute_url()),
    )
