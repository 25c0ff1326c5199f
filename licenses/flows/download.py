"""Download: the license file of a slot, those of several subscriptions, or an offline bundle."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from licenses import keys
from licenses.bundle import writing
from licenses.files import LicenseFile, file_name, license_file
from licenses.flows import signing
from licenses.models import License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.models import State, Subscription

AGAIN = "Once a manager or owner has reset it, download the new one."


def refuse_unless_downloadable(key: LicenseKey, state: State, now: datetime) -> None:
    """Raise Refused for a key with which no terminal would start."""
    name = key.get_slot_display().lower()
    if state != State.ACTIVE:
        raise Refused(
            f"This subscription {state.in_words}. License keys are downloaded from active "
            "subscriptions only."
        )
    if key.revoked_at is not None:
        raise Refused(f"The {name} key was revoked. {AGAIN}")
    if key.withdrawn_at is not None:
        raise Refused(f"The {name} key was withdrawn. {AGAIN}")
    if key.expires_at <= now:
        raise Refused(f"The {name} key has expired. {AGAIN}")


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
    Raises Refused when the subscription is not active or the key is revoked, withdrawn or expired.
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


def download_bundle(
    *, license: License, actor: Actor, is_taken: bool = True, now: datetime | None = None
) -> LicenseFile:
    """Return the offline bundle of a subscription and record the download.

    It has the license files of both slots, but for a key with which no terminal starts. Raises
    Refused when none is left, or when the subscription is not active.
    """
    now = now or timezone.now()
    read = partial(_current_keys, license)
    return signing.until_current(
        lambda seen: _sign_and_record(
            seen, license=license, actor=actor, is_taken=is_taken, now=now
        ),
        seen=read(),
        read=read,
    )


def _current_keys(license: License) -> list[LicenseKey]:
    rows = LicenseKey.objects.current().filter(license=license).order_by("slot")
    return list(
        rows.select_related(
            "license__tenant", "license__subscription", "signing_key", "status_list"
        )
    )


def _sign_and_record(
    seen: list[LicenseKey], *, license: License, actor: Actor, is_taken: bool, now: datetime
) -> LicenseFile:
    """Sign outside the transaction, from the keys as they were seen."""
    if not seen:
        raise Refused("These license keys were deleted. There is nothing to download.")
    subscription = seen[0].license.subscription
    files, left_out = {}, []
    for key in seen:
        try:
            refuse_unless_downloadable(key, subscription.state_at(now), now)
        except Refused as refusal:
            left_out.append(refusal.sentence)
        else:
            files[key] = license_file(key, subscription_name=subscription.name).content
    if not files:
        raise Refused(left_out[0])
    bundle = writing.write(
        subscription=subscription,
        license_keys=files,
        left_out=left_out,
        signing_key=keys.active(),
        public_url=settings.PUBLIC_URL,
        now=now,
    )
    with transaction.atomic():
        locked = lock(Subscription, subscription.pk)
        if _as_bundled(_current_keys(license)) != _as_bundled(seen):
            raise signing.Outdated
        if is_taken:
            LicenseKey.objects.filter(pk__in=[key.pk for key in files]).update(
                last_downloaded_at=now
            )
            record(
                actor=actor,
                action=Action.BUNDLE_DOWNLOADED,
                tenant_id=license.tenant_id,
                subscription=locked,
                details={"jti": [str(key.jti) for key in files]},
                now=now,
            )
    return LicenseFile(name=file_name(subscription.name, "bundle", extension="zip"), content=bundle)


def _as_bundled(current: list[LicenseKey]) -> list[object]:
    """Return what decides whether keys may be handed out, to detect a change under the lock."""
    return [
        (
            *(key.pk, key.revoked_at, key.withdrawn_at),
            *(key.license.subscription.state, key.license.subscription.ends_at),
        )
        for key in current
    ]


@dataclass
class Downloads:
    """License files by their names, which differ in more than case, and what was refused."""

    files: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Why a file is not included, as a sentence with the subscription's name, by the same with its
    identifier too."""
    contents: list[str] = field(default_factory=list)
    """For each file, a line that says of which subscription it is."""

    def refuse(self, subscription: Subscription, sentence: str) -> None:
        """Remember why a file is not included."""
        self.refused[f"{_told(subscription)}: {sentence}"] = f"{subscription.name}: {sentence}"

    def add(self, subscription: Subscription, slot: Slot, content: bytes) -> None:
        """Put a file under a name that no other has."""
        used = {name.casefold() for name in self.files}
        names = (file_name(subscription.name, slot, number=number) for number in count(1))
        name = next(name for name in names if name.casefold() not in used)
        self.files[name] = content
        self.contents.append(f"{name}: {slot.label.lower()} key of {_told(subscription)}")

    @property
    def readme(self) -> str:
        """What is in the archive and what is not, as text."""
        parts = [
            "License files. Give each terminal the file of its own subscription.",
            *self.contents,
        ]
        if self.refused:
            parts += ["", "Not included:", *self.refused]
        return "\r\n".join([*parts, ""])


def download_keys(
    *,
    subscriptions: Iterable[Subscription],
    slots: Iterable[Slot],
    actor: Actor,
    is_taken: bool = True,
    now: datetime | None = None,
) -> Downloads:
    """Return the license files of these slots and record each download, in its own transaction.

    Nothing is recorded unless they are taken.
    """
    chosen, slots, downloads = list(subscriptions), list(slots), Downloads()
    licenses = {
        license.subscription_id: license
        for license in License.objects.not_deleted().filter(subscription__in=chosen)
    }
    for subscription in chosen:
        license = licenses.get(subscription.pk)
        if license is None:
            downloads.refuse(subscription, "It has no license keys.")
            continue
        for slot in slots:
            try:
                file = download_key(
                    license=license, slot=slot, actor=actor, is_taken=is_taken, now=now
                )
            except Refused as refusal:
                downloads.refuse(subscription, refusal.sentence)
            else:
                downloads.add(subscription, slot, file.content)
    return downloads


def _told(subscription: Subscription) -> str:
    return f"{subscription.name} ({subscription.pk})"
