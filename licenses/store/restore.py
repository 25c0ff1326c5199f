"""Restore a backup into an empty place, whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from licenses import keys, status_list
from licenses.models import SigningKey, SigningKeyState
from licenses.store import manifest, postgresql, sqlite
from licenses.store.manifest import Manifest
from portal.activity.chain import chained_hash
from portal.activity.models import LogEntry
from portal.core.refusal import Refused


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was restored. `warnings` are sentences; `is_older` asks for `manage.py migrate`."""

    manifest: Manifest
    warnings: Sequence[str]
    is_older: bool


def restore(folder: Path, *, accept_lost_secrets: bool = False) -> Restored:
    """Put a backup where DATABASE_URL points, and verify that it is what was backed up.

    Then nobody is signed in any more, and new keys get a new status list: the newest one may hold
    keys that were issued after the backup, whose indexes must not be given out again.

    Raises Refused, and leaves nothing behind, when the backup is damaged, forged, of a newer
    release or of another kind of database, when the place is not empty, or when the secrets of the
    environment are not those of the backup; `accept_lost_secrets` makes warnings of the last.
    """
    said = Manifest.read(folder)
    is_older = refuse_unfit(said)
    lost = said.lost_secrets()
    if lost and not accept_lost_secrets:
        raise Refused(f"{' '.join(lost)} {LOST}")
    if said.log_key == manifest.fingerprint(settings.LOG_KEY):
        said.refuse_forgery()
    said.refuse_damage(folder)
    place = sqlite if connection.vendor == "sqlite" else postgresql
    with place.restored(folder / place.FILE):
        said.refuse_difference()
        if not lost and not is_older:
            _refuse_other_secrets()
        if not is_older:
            # What comes after every migrate: triggers, groups, rights of the portal's role.
            emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)
        Session.objects.all().delete()
        if said.signing_keys:
            status_list.open_next()
    return Restored(manifest=said, warnings=lost, is_older=is_older)


LOST = (
    "Set the secrets that were kept with the backup. If they are lost for good, "
    "--accept-lost-secrets restores nevertheless (docs/backup.md says what works then)."
)


def refuse_unfit(said: Manifest) -> bool:
    """Return whether the backup needs `manage.py migrate`.

    Raises Refused when it is of another kind of database, or has migrations that this code has not.
    """
    if said.database != connection.vendor:
        raise Refused(
            f"This is a backup of {said.database}, and DATABASE_URL names {connection.vendor}: it "
            "can be restored into the same kind only."
        )
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(said.migrations) - known):
        raise Refused(
            f"This backup was made by a newer release ({said.portal}), which has a migration "
            f"{unknown[0]}: restore it with that release."
        )
    return not known <= set(said.migrations)


def _refuse_other_secrets() -> None:
    """Raise Refused unless this process could go on: sign, and add rows to the log."""
    for signing_key in SigningKey.objects.exclude(state=SigningKeyState.DISABLED):
        if why := keys.why_unable_to_sign(signing_key):
            raise Refused(f"Signing key {signing_key.kid} ({signing_key.state}): {why}.")
    newest = LogEntry.objects.order_by("-id").first()
    if newest is not None and newest.hash != chained_hash(newest):
        raise Refused(
            f"LOG_KEY did not write the newest row of the log ({newest.seq} of "
            f"{newest.tenant_id}), or that row was changed."
        )
