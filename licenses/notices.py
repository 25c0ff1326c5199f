"""Mails about license keys: what was done to them, told to owners and managers."""

from urllib.parse import urljoin

from django.conf import settings
from django.urls import reverse

from licenses.models import License
from portal.actors import Actor
from portal.notices import tell_keepers
from subscriptions.models import Subscription


def subscription_link(subscription: Subscription) -> str:
    """Return the address of the subscription's page, for mails."""
    return urljoin(settings.PUBLIC_URL, reverse("subscriptions:detail", args=[subscription.pk]))


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
        link=subscription_link(subscription),
    )
