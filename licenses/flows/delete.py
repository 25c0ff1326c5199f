"""Delete both license keys of a subscription, for good."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licenses import notices
from licenses.models import ANSWERED, KeyState, License
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import Subscription


@transaction.atomic
def delete_keys(*, license: License, actor: Actor, now: datetime | None = None) -> License:
    """Delete the license with all its keys and return it.

    The rows stay, so that every check of these keys, and of keys in an overlap, says `deleted`.
    The tokens are erased, including those of keys replaced earlier. Raises Refused when somebody
    has already deleted the keys, naming who and when.
    """
    now = now or timezone.now()
    subscription = lock(Subscription, license.subscription_id)
    license = License.objects.get(pk=license.pk)
    refuse_unless_deletable(license)
    license.deleted_at = now
    license.deleted_by_name = actor.name
    license.save(update_fields=["deleted_at", "deleted_by_name"])
    jtis = [str(jti) for jti in license.keys.current().values_list("jti", flat=True)]
    _delete_keys(license, now)
    record(
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
    notices.notify_of_keys(
        license,
        what=f"License keys of {subscription.name} were deleted",
        actor=actor,
        consequence="Terminals do not start until they have new keys and the new authorized "
        "application id.",
    )
    return license


def refuse_unless_deletable(license: License) -> None:
    """Raise Refused when somebody has already deleted the license, naming who and when."""
    if license.deleted_at is not None:
        raise Refused(
            f"{license.deleted_by_name} deleted these license keys on "
            f"{moment(license.deleted_at)}. Nothing is left to delete."
        )


def _delete_keys(license: License, now: datetime) -> None:
    """Delete the keys that may still pass checks; those replaced earlier stay `replaced`."""
    over = license.keys.filter(state=KeyState.SUPERSEDED, accepted_until__lte=now)
    over.update(state=KeyState.REPLACED)
    answered = license.keys.filter(state__in=ANSWERED)
    answered.update(state=KeyState.DELETED, deleted_at=now, token=None)
    license.keys.filter(state=KeyState.REPLACED).update(token=None)
