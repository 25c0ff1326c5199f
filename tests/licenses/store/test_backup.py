"""What a backup is, and that there is none when it cannot be complete."""

import fcntl
import json
import os
import resource
import stat
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from licenses.models import SigningKey
from licenses.store.backup import back_up, remove_older
from portal.activity.models import LogChain
from portal.core.refusal import Refused
from tests.support.stores import said

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def test_a_backup_says_what_it_holds_and_holds_no_secret(backup):
    file = "portal.sqlite3" if connection.vendor == "sqlite" else "portal.pgdump"
    assert modes(backup) == {backup.name: 0o700, "manifest.json": 0o600, file: 0o600}
    manifest = json.loads((backup / "manifest.json").read_text())
    chain = LogChain.objects.get()
    assert manifest["rows"]["licenses_licensekey"] == 2
    assert manifest["chains"] == {str(chain.pk): [chain.count, chain.head]}
    assert manifest["signing_keys"] == {SigningKey.objects.get().kid: "active"}
    assert [*manifest["files"]] == [file]
    everything = b"".join(path.read_bytes() for path in backup.iterdir())
    secrets = [*settings.KEY_ENCRYPTION_KEYS, settings.LOG_KEY, settings.SECRET_KEY]
    assert [secret for secret in secrets if secret.encode() in everything] == []


def test_what_a_killed_backup_left_is_removed_and_what_another_writes_is_not(backup):
    parent = backup.parent
    left, living = (parent / f".portal-{name}.partial" for name in ("left", "living"))
    left.mkdir()
    living.mkdir()
    holder = os.open(living, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        done = back_up(parent, now=timezone.now() + timedelta(minutes=1))
    finally:
        os.close(holder)
    assert sorted(parent.iterdir()) == sorted([living, backup, done])


def test_the_newest_backups_are_kept(backup):
    parent, now = backup.parent, timezone.now()
    newer = [back_up(parent, now=now + timedelta(minutes=minute)) for minute in (1, 2)]
    incomplete = parent / "portal-20200101T000000Z"
    incomplete.mkdir()
    assert remove_older(parent, keep=2) == [backup]
    assert sorted(parent.iterdir()) == [incomplete, *newer]
    assert said("backup", str(parent), "--keep", "0")[2] == "--keep must be at least 1."


def test_two_backups_of_one_second_do_not_mix(backup):
    now = timezone.now() + timedelta(minutes=1)
    done = back_up(backup.parent, now=now)
    with pytest.raises(Refused) as caught:
        back_up(backup.parent, now=now)
    assert caught.value.sentence == f"{done} exists already: another backup began in this second."
    assert sorted(backup.parent.iterdir()) == [backup, done]


def test_a_folder_that_cannot_be_written_is_named(backup, tmp_path):
    (tmp_path / "file").touch()
    assert said("backup", str(tmp_path / "file" / "below"))[2] == (
        f"The backup cannot be written: {tmp_path / 'file' / 'below'}: Not a directory."
    )


def test_a_backup_that_does_not_fit_the_disk_leaves_nothing_behind(subscription, tmp_path):
    """A limit for the size of files stands for the disk: writing fails at some point."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        sentence = said("backup", str(tmp_path / "backups"))[2]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sentence.startswith(("The backup cannot be written into ", "pg_dump failed: "))
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.postgres
def test_a_missing_or_older_pg_dump_is_named(subscription, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = said("backup", str(tmp_path / "backups"))[2]
    assert sentence.startswith("There is no pg_dump on the PATH. Install PostgreSQL's client")
    older = tmp_path / "pg_dump"
    older.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    older.chmod(0o700)
    assert said("backup", str(tmp_path / "backups"))[2].startswith(
        f"{older} says 'pg_dump (PostgreSQL) 9.6.1', and the server is PostgreSQL 18: use a pg_dump"
    )
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.sqlite
def test_a_copy_of_a_damaged_database_is_no_backup(subscription, tmp_path):
    with connection.cursor() as cursor, connection.constraint_checks_disabled():
        cursor.execute("UPDATE licenses_licensekey SET status_list_id = 99 WHERE slot = 'primary'")
    assert said("backup", str(tmp_path / "backups"))[2] == (
        "The database is damaged: a row of licenses_licensekey names one that is not there."
    )
    assert list((tmp_path / "backups").iterdir()) == []
