"""Download: the license file of the key in a slot."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licenses.files import LicenseFile, license_file
from licenses.models import License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import State, Subscription


def refuse_unless_downloadable(key: LicenseKey, state: State, now: datetime) -> None:
    """Raise Refused for a key with which no terminal would start."""
    name = key.get_slot_display().lower()
    if state != State.ACTIVE:
        raise Refused(
            f"This subscription is {state.label.lower()}. License keys are downloaded from active "
            "subscriptions only."
        )
    if key.revoked_at is not None:
        raise Refused(f"The {name} key was revoked. Reset it and download the new one.")
    if key.expires_at <= now:
        raise Refused(f"The {name} key has expired. Reset it and download the new one.")


@transaction.atomic
def download_key(
    *,
    license: License,
    slot: Slot,
    actor: Actor,
    is_taken: bool = True,
    now: datetime | None = None,
) -> LicenseFile:
    """Return the license file of the slot's key and record the download.

    `is_taken` is false for a HEAD request, which sends no file and records nothing.
    Raises Refused when the subscription is not active or the key is revoked or expired.
    """
    now = now or timezone.now()
    subscription = lock(Subscription, license.subscription_id)
    key = (
        LicenseKey.objects.current()
        .select_related("license__tenant", "signing_key")
        .filter(license=license, slot=slot)
        .first()
    )
    if key is None:
        raise Refused("These license keys were deleted. There is nothing to download.")
    refuse_unless_downloadable(key, subscription.state_at(now), now)
    if is_taken:
        key.last_downloaded_at = now
        key.save(update_fields=["last_downloaded_at"])
        record(
            actor=actor,
            action=Action.KEY_DOWNLOADED,
            tenant_id=key.tenant_id,
            subscription=subscription,
            slot=slot,
            details={"jti": str(key.jti)},
            now=now,
        )
    return license_file(key, subscription_name=subscription.name)
