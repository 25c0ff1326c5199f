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
from tests.support.stores import PROGRAMS, said

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
def test_a_pg_dump_that_is_missing_or_unfit_is_named(subscription, tmp_path, monkeypatch):
    def refusal(script: str) -> str:
        (tmp_path / "pg_dump").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pg_dump").chmod(0o700)
        return said("backup", str(tmp_path / "backups"))[2].replace(str(tmp_path), "")

    monkeypatch.setenv("PATH", str(tmp_path))
    use = (
        "install postgresql-client-18 (on Debian), and put its folder on the PATH: "
        "PATH=/usr/lib/postgresql/18/bin:$PATH."
    )
    sentence = said("backup", str(tmp_path / "backups"))[2]
    assert sentence == f"There is no pg_dump on the PATH: {use}"
    for number in ("9.6.1", "19.1"):
        assert refusal(f"echo 'pg_dump (PostgreSQL) {number}'") == (
            f"/pg_dump is of version {number.split('.')[0]}, and the server of 18: {use}"
        )
    assert refusal("echo Error: no libraries >&2; exit 1") == (
        "/pg_dump cannot be run: Error: no libraries"
    )
    lines = "printf 'pg_dump: error: this\\npg_dump: detail: and that\\n' >&2; exit 1"
    version = '[ "$1" = --version ] && echo 18.1 && exit 0'
    assert refusal(f"{version}\n{lines}") == "pg_dump failed: this detail: and that"
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.postgres
def test_pg_dump_gets_no_option_that_nobody_gave(subscription, tmp_path, monkeypatch):
    """Psycopg brings a libpq of its own, and what a newer one sets pg_dump may not know."""
    program = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexec {PROGRAMS}/pg_dump "$@"\n'
    (tmp_path / "pg_dump").write_text(program)
    (tmp_path / "pg_dump").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert said("backup", str(tmp_path / "backups"))[2] == ""
    with connection.cursor():  # the control: it is there for whoever passes it all on
        assert "sslcertmode=" in connection.connection.info.dsn
    assert "--dbname=" in (asked := (tmp_path / "asked").read_text())
    assert "sslcertmode" not in asked


@pytest.mark.sqlite
def test_a_copy_of_a_damaged_database_is_no_backup(subscription, tmp_path):
    with connection.cursor() as cursor, connection.constraint_checks_disabled():
        cursor.execute("UPDATE licenses_licensekey SET status_list_id = 99 WHERE slot = 'primary'")
    assert said("backup", str(tmp_path / "backups"))[2] == (
        "The database is damaged: a row of licenses_licensekey names one that is not there."
    )
    assert list((tmp_path / "backups").iterdir()) == []
