"""A process with secrets that are not the database's says so, and writes nothing."""

import json
import sys
import threading
from datetime import timedelta
from functools import partial
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse

from licenses import keys
from licenses.models import SigningKey
from portal.accounts import secrets_at_rest
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.log_key import accept_log_key
from portal.activity.models import LogEntry
from portal.activity.verify import verify
from portal.config import database_secrets
from portal.config.database_secrets import SecretsDoNotFit
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.mail.worker import Task, work
from portal.server.conditions import NO_ANSWER
from tests.support.factories import make_license, make_subscription
from tests.support.server import LivePortal

pytestmark = pytest.mark.django_db

OTHER = "another key of at least thirty-two characters"


@pytest.fixture(autouse=True)
def never_compared(monkeypatch):
    """Let each test be a process of its own, and leave what was found before."""
    monkeypatch.setattr(database_secrets, "_verdict", None)
    monkeypatch.setattr(database_secrets, "_quiet_until", float("-inf"))


def add_row(tenant_id):
    with transaction.atomic():
        return record(actor=SYSTEM, action=Action.TENANT_OPENED, tenant_id=tenant_id)


@pytest.fixture
def other_log_key(contoso, settings, monkeypatch):
    """A log with a row, and the LOG_KEY of another portal."""
    add_row(contoso.pk)
    settings.LOG_KEY = OTHER
    monkeypatch.setattr(database_secrets, "_verdict", None)


def other_encryption_keys(settings):
    database_secrets._verdict = None  # making a signing key has compared them
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]


def test_secrets_fit_an_empty_database(settings):
    settings.LOG_KEY = OTHER
    other_encryption_keys(settings)
    assert database_secrets.compare() == ()


def test_the_secrets_that_wrote_the_database_fit(contoso, signing_key):
    add_row(contoso.pk)
    assert database_secrets.compare() == ()


def test_another_log_key_writes_no_row_and_says_so_once_a_minute(contoso, other_log_key, caplog):
    for _ in range(2):
        with pytest.raises(SecretsDoNotFit, match="^LOG_KEY did not write the newest row"):
            add_row(contoso.pk)
    assert LogEntry.objects.count() == 1
    [line] = caplog.messages
    assert line.startswith("Nothing is written: LOG_KEY did not write the newest row of the log")
    assert OTHER not in line


def test_other_encryption_keys_encrypt_nothing(signing_key, settings):
    other_encryption_keys(settings)
    for write in (keys.create, partial(secrets_at_rest.encrypt, "secret")):
        with pytest.raises(SecretsDoNotFit, match="^KEY_ENCRYPTION_KEYS cannot decrypt"):
            write()
    assert SigningKey.objects.get().private_key == signing_key.private_key


def test_the_successor_of_the_signing_key_must_be_readable_too(signing_key, settings):
    own = settings.KEY_ENCRYPTION_KEYS
    other_encryption_keys(settings)
    with database_secrets.overruled():
        successor = keys.create(now=signing_key.created_at + timedelta(days=1))
    settings.KEY_ENCRYPTION_KEYS = own
    [sentence] = database_secrets.compare()
    assert successor.kid in sentence


def test_an_older_key_behind_the_newest_fits(signing_key, settings):
    settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.KEY_ENCRYPTION_KEYS]
    assert database_secrets.compare() == ()


def test_a_row_of_a_later_release_is_not_judged(contoso, other_log_key, monkeypatch):
    monkeypatch.setattr("portal.activity.log_key.HASHED", {})
    assert database_secrets.compare() == ()


@pytest.mark.usefixtures("other_log_key")
def test_pages_are_shown_and_nothing_is_changed():
    client = Client()
    assert client.get(reverse("account_login")).status_code == 200
    answer = client.post(reverse("account_login"), {"login": "a@b.example", "password": "x"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "its operators have to mend that" in answer.content.decode()
    assert "sessionid" not in answer.cookies


def test_a_page_that_records_is_refused_as_a_whole(
    contoso, owner_client, signing_key, other_log_key
):
    license = make_license(subscription=make_subscription(tenant=contoso), signing_key=signing_key)
    path = reverse("licenses:download", args=[license.subscription_id, "primary"])
    answer = owner_client.get(path)
    assert (answer.status_code, LogEntry.objects.count()) == (503, 1)


def test_the_worker_does_nothing_until_they_fit(contoso, settings, monkeypatch):
    add_row(contoso.pk)
    done, own = list[str](), settings.LOG_KEY
    task = Task(name="Mail", period=0, do=lambda: done.append(settings.LOG_KEY))
    for settings.LOG_KEY in (OTHER, own):
        monkeypatch.setattr(database_secrets, "_verdict", None)
        work([task], stopping=threading.Event(), once=True)
    assert done == [own]


@pytest.mark.usefixtures("other_log_key")
@pytest.mark.parametrize("command", ["serve", "run_worker"])
def test_neither_server_nor_worker_starts(command):
    with pytest.raises((SecretsDoNotFit, CommandError), match="^LOG_KEY did not write"):
        call_command(command)


def test_a_lost_log_key_is_replaced_on_purpose(contoso, other_log_key, capsys):
    call_command("accept_log_key", "--reason", "The old one is lost")
    assert capsys.readouterr().out == "LOG_KEY is accepted from row 1 of the vendor's log on.\n"
    assert database_secrets.compare() == ()
    add_row(contoso.pk)
    assert "row 1 was changed" in str(verify(contoso.pk))
    with pytest.raises(Refused, match="there is nothing to accept"):
        accept_log_key(actor=SYSTEM, reason="again")


class Served(LivePortal):
    """Started as in production."""

    def command(self):
        return [sys.executable, "manage.py", "serve", "--workers", "1", "--port", str(self.port)]


@pytest.mark.sweep
@pytest.mark.sqlite
def test_a_node_that_starts_without_its_database_lives_and_is_not_ready(tmp_path, static_files):
    portal = Served(folder=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    try:
        portal.start(until="/healthz/live")
        with pytest.raises(HTTPError) as answer:
            urlopen(f"{portal.url}/healthz/ready", timeout=5)
        told = json.loads(answer.value.read())
        assert (answer.value.code, told["reasons"]) == (503, [NO_ANSWER])
    finally:
        portal.stop()


def test_after_the_loss_of_the_encryption_keys_a_new_signing_key_signs_at_once(
    signing_key, settings
):
    other_encryption_keys(settings)
    call_command("create_signing_key", lost_encryption_keys=True)
    assert database_secrets.compare() == ()
    new = SigningKey.objects.get(state="active")
    row = LogEntry.objects.get(action=Action.SIGNING_KEY_ACTIVATED)
    assert (row.details["kid"], row.reason) == (new.kid, "KEY_ENCRYPTION_KEYS were lost")
    signing_key.refresh_from_db()
    assert signing_key.state == "passive"
