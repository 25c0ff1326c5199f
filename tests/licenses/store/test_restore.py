"""A backup is restored whole into an empty place, or not at all."""

import json
import shutil

import pytest
from cryptography.fernet import Fernet
from django.contrib.sessions.models import Session
from django.db import connection

from licenses import keys
from licenses.models import LicenseKey, StatusList
from licenses.store.manifest import Manifest
from portal.activity.triggers import missing_triggers
from tests.support.stores import empty_place, said

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

NEXT = (
    "Before the portal starts, run manage.py verify_store --anchors FILE: it tells what was issued "
    "after the backup."
)


def rewritten(backup, **changes):
    path = backup / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def is_empty():
    return connection.introspection.table_names() == []


def test_what_is_restored_is_what_was_backed_up(backup, tmp_path):
    manifest = json.loads((backup / "manifest.json").read_text())
    rows = sum(manifest["rows"].values())
    before = list(LicenseKey.objects.order_by("pk").values())
    with empty_place(tmp_path):
        out, err, sentence = said("restore", str(backup))
        assert (err, sentence) == ("", "")
        assert out.splitlines() == [
            f"Restored {rows} rows of {len(manifest['rows'])} tables, of {manifest['made_at']}.",
            NEXT,
        ]
        assert list(LicenseKey.objects.order_by("pk").values()) == before
        assert missing_triggers() == []
        assert Session.objects.count() == 0
        assert StatusList.objects.count() == manifest["rows"]["licenses_statuslist"] + 1
        out, err, sentence = said("verify_store")
        assert (err, sentence, out.splitlines()[-1]) == ("", "", "The store is whole.")
        again = said("restore", str(backup))[2]
        assert "a backup is restored into an empty place only" in again
        assert list(LicenseKey.objects.order_by("pk").values()) == before


def a_byte(backup, settings):
    [file] = [path for path in backup.iterdir() if path.suffix != ".json"]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    return f"{file} is damaged: its SHA-256 is not that of manifest.json."


def a_missing_file(backup, settings):
    [file] = [path for path in backup.iterdir() if path.suffix != ".json"]
    file.unlink()
    return f"{file} cannot be read: No such file or directory."


def no_manifest(backup, settings):
    (backup / "manifest.json").unlink()
    return f"{backup} is no backup: manifest.json: No such file or directory."


def half_a_manifest(backup, settings):
    path = backup / "manifest.json"
    path.write_text(path.read_text()[:100])
    return f"{path} is damaged: it is not what a backup writes."


def another_count(backup, settings):
    rewritten(backup, rows={})
    return "manifest.json was changed after the backup: its signature is not right."


def another_format(backup, settings):
    rewritten(backup, format=2)
    return (
        f"{backup} has format 2, and this release reads 1: use the release that made it, or a "
        "later one."
    )


def a_newer_release(backup, settings):
    rewritten(backup, portal="9.0.0", migrations=["portal.0099_from_the_future"])
    return (
        "This backup was made by a newer release (9.0.0), which has a migration "
        "portal.0099_from_the_future: restore it with that release."
    )


def another_kind(backup, settings):
    rewritten(backup, database="oracle")
    return (
        f"This is a backup of oracle, and DATABASE_URL names {connection.vendor}: it can be "
        "restored into the same kind only."
    )


def another_log_key(backup, settings):
    fingerprint = json.loads((backup / "manifest.json").read_text())["log_key"]
    settings.LOG_KEY = "another " * 8
    return f"LOG_KEY is not that of this backup, whose fingerprint is {fingerprint}. Set the"


def another_encryption_key(backup, settings):
    [fingerprint] = json.loads((backup / "manifest.json").read_text())["key_encryption_keys"]
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    return (
        f"KEY_ENCRYPTION_KEYS lacks the key with the fingerprint {fingerprint}, which decrypts "
        "signing keys of this backup. Set the secrets"
    )


WRONG = [
    a_byte,
    a_missing_file,
    no_manifest,
    half_a_manifest,
    another_count,
    another_format,
    a_newer_release,
    another_kind,
    another_log_key,
    another_encryption_key,
]


def test_a_backup_that_must_not_be_restored_changes_nothing(backup, tmp_path, settings):
    """One empty place for all that can be wrong: each backup takes a third of a second."""
    secrets = settings.LOG_KEY, settings.KEY_ENCRYPTION_KEYS
    with empty_place(tmp_path):
        for wrong in WRONG:
            copy = tmp_path / wrong.__name__
            shutil.copytree(backup, copy)
            sentence = wrong(copy, settings)
            found = said("restore", str(copy))[2]
            settings.LOG_KEY, settings.KEY_ENCRYPTION_KEYS = secrets
            assert found.startswith(sentence)
            assert found.endswith("Nothing was restored.")
            assert is_empty()


def test_data_that_is_not_that_of_the_manifest_is_taken_away_again(backup, tmp_path):
    """A database's file and a signed manifest of two moments, as no damage would mix them."""
    said_before = Manifest.read(backup)
    Manifest(**vars(said_before) | {"rows": said_before.rows | {"portal_user": 7}}).write(backup)
    with empty_place(tmp_path):
        assert said("restore", str(backup))[2] == (
            "Table portal_user has 0 rows, and had 7 rows when the backup was made. "
            "Nothing was restored."
        )
        assert is_empty()


def test_lost_secrets_are_accepted_when_one_says_so(backup, tmp_path, settings):
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with empty_place(tmp_path):
        _, err, sentence = said("restore", str(backup), "--accept-lost-secrets")
        assert (sentence, err[:35]) == ("", "Warning: KEY_ENCRYPTION_KEYS lacks ")
        assert LicenseKey.objects.count() == 2
        keys.clear_cached_keys()
        assert "cannot be decrypted with KEY_ENCRYPTION_KEYS" in said("verify_store")[1]


def test_a_backup_of_an_older_release_asks_for_migrate(backup, tmp_path):
    """`migrate` would find the schema of today in place: only the record of it is left out."""
    known = Manifest.read(backup)
    Manifest(**vars(known) | {"migrations": known.migrations[:-1]}).write(backup)
    with empty_place(tmp_path):
        out, _, sentence = said("restore", str(backup))
        assert (sentence, out.splitlines()[1]) == (
            "",
            f"The backup is of an older release ({known.portal}): run manage.py migrate now.",
        )
