"""Delete both license keys of a subscription, for good."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licenses.models import KeyState, License
from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.dates import moment
from portal.refusal import Refused
from subscriptions.locking import lock


@transaction.atomic
def delete(*, license: License, actor: Actor, now: datetime | None = None) -> License:
    """Delete the license with all its keys and return it.

    The rows stay, so that every check of these keys says `deleted`; the tokens themselves go.
    Raises Refused when somebody deleted them before, naming who and when.
    """
    now = now or timezone.now()
    subscription = lock(license.subscription_id)
    license = License.objects.get(pk=license.pk)
    if license.deleted_at is not None:
        raise Refused(
            f"{license.deleted_by_name} deleted these license keys on "
            f"{moment(license.deleted_at)}. Nothing is left to delete."
        )
    license.deleted_at = now
    license.deleted_by_name = actor.name
    license.save(update_fields=["deleted_at", "deleted_by_name"])
    jtis = [str(jti) for jti in license.keys.current().values_list("jti", flat=True)]
    license.keys.update(state=KeyState.DELETED, token=None, deleted_at=now)
    activity.record(
        actor=actor,
        action=Action.KEYS_DELETED,
        tenant_id=license.tenant_id,
        subscription=subscription,
        details={
            "authorized_application_id": str(license.authorized_application_id),
            "jti": jtis,
        },
        now=now,
    )
    return license
