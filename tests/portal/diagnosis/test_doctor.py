"""`manage.py doctor` on a set-up that is right, and on set-ups that are wrong in one way each."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from licenses.management.commands.doctor import parts
from licenses.models import SigningKey
from portal.activity import anchors
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.triggers import install_triggers, remove_triggers
from portal.config import database_secrets
from portal.config.environment import Environment
from portal.core.actors import SYSTEM
from portal.diagnosis import findings
from portal.diagnosis.findings import Finding, Mark, Part, look_at, ok
from portal.mail.heartbeat import Heart
from portal.mail.models import Heartbeat, Outbox
from portal.server import conditions
from tests.support import database
from tests.support.factories import make_signing_key
from tests.support.server import LivePortal
from tests.support.smtp import MailServer
from tests.support.tls_proxy import TlsProxy

LOST = ("portal", "0011_worker_heartbeats")
LATER = ("portal", "9999_of_a_later_release")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def proxy(
    static_files: None, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsProxy]:
    """A node behind a proxy, for all tests of this module."""
    folder = tmp_path_factory.mktemp("proxy")
    proxy = TlsProxy(folder)
    node = LivePortal(
        folder=folder,
        database_url=database.url(),
        PUBLIC_URL=proxy.url,
        TRUSTED_PROXIES="127.0.0.1/32",
    )
    proxy.node_port = node.port
    node.start()
    yield proxy
    node.stop()
    proxy.stop()


@pytest.fixture
def set_up(
    proxy: TlsProxy, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SimpleNamespace]:
    """Everything that production needs, set up rightly."""
    monkeypatch.setattr(database_secrets, "_verdict", None)
    proxy.set_up()
    settings.PUBLIC_URL, settings.HTTPS = proxy.url, True
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1/32")]
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
    mail_server = MailServer()
    mailer = Environment({"MAIL_URL": mail_server.url}).mailer("MAIL_URL", console=False)
    settings.MAILERS = {"default": mailer}
    settings.LOG_ANCHORS_FILE = tmp_path / "anchors.jsonl"
    make_signing_key()
    with transaction.atomic():
        record(actor=SYSTEM, action=Action.RECORD_ADDED)
    anchors.append()
    Heart()._beat()
    yield SimpleNamespace(
        proxy=proxy, settings=settings, patch=monkeypatch, mail_server=mail_server
    )
    mail_server.stop()
    install_triggers()
    recorder = MigrationRecorder(connection)  # its table is not emptied between tests
    recorder.record_unapplied(*LATER)
    if LOST not in recorder.applied_migrations():
        recorder.record_applied(*LOST)


def found(part: str, **options: Any) -> list[Finding]:
    """Return what the doctor finds of one part."""
    return [each for _, each in look_at([one for one in parts(**options) if one.name == part])]


def test_a_right_set_up_is_all_ok(set_up, capsys):
    call_command("doctor", "--json", "--provoke", "--mail-to", "you@example.com")
    rows = json.loads(capsys.readouterr().out)
    assert [row for row in rows if row["mark"] != "ok"] == []
    assert list(dict.fromkeys(row["part"] for row in rows)) == [part.name for part in parts()]
    assert [mail["To"] for mail in set_up.mail_server.mails] == ["you@example.com"]
    sentences = "\n".join(row["sentence"] for row in rows)
    for told in (
        "its certificate is valid for 60 days",
        "413 under",
        "502 under",
        "given up in 7 days: 0",
    ):
        assert told in sentences


def other_log_key(case):
    case.settings.LOG_KEY = "another key of at least thirty-two characters"


def other_encryption_keys(case):
    case.settings.KEY_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]


def other_secret_key(case):
    case.settings.SECRET_KEY = "another-secret-of-fifty-characters-and-more-0123456789"


def another_node_differs(case):
    case.proxy.set_up(drops_every_other="X-Portal-Probe")


def lost_migration(case):
    MigrationRecorder(connection).record_unapplied(*LOST)


def later_release(case):
    MigrationRecorder(connection).record_applied(*LATER)


def no_trigger(case):
    remove_triggers()


def no_signing_key(case):
    SigningKey.objects.all().delete()


def no_worker(case):
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(minutes=2))


def stuck_worker(case):
    Heartbeat.objects.update(doing="Mail", doing_since=timezone.now() - timedelta(minutes=20))


def no_mail_server(case):
    case.mail_server.stop()


def mail_waits(case):
    waits = timezone.now() - timedelta(hours=2)
    Outbox.objects.create(to="a@b.example", subject="x", last_error="refused", created_at=waits)


def old_anchor(case):
    anchors.append(
        path=case.settings.LOG_ANCHORS_FILE.with_name("old"),
        now=timezone.now() - timedelta(hours=3),
    )
    case.settings.LOG_ANCHORS_FILE = case.settings.LOG_ANCHORS_FILE.with_name("old")


def no_cache(case):
    case.settings.CACHE_URL = "redis://127.0.0.1:1/0"


def unknown_certificate(case):
    case.patch.setenv("SSL_CERT_FILE", os.devnull)


def no_name(case):
    case.settings.PUBLIC_URL = "https://portal.invalid"


def certificate_ends(case):
    case.patch.setattr("portal.diagnosis.network.NOTED_DAYS", 61)


def no_hsts(case):
    case.proxy.set_up(drops="Strict-Transport-Security")


def proxy_is_not_believed(case):
    case.proxy.set_up(own_address="127.0.0.2")


def scheme_is_not_told(case):
    case.proxy.set_up(tells_the_scheme=False)


def host_is_not_passed_on(case):
    case.proxy.set_up(passes_the_host_on=False)


def strangers_header_counts(case):
    case.proxy.set_up(keeps_what_clients_send=True)


def everybody_is_believed(case):
    case.settings.TRUSTED_PROXIES = [ip_network("0.0.0.0/0")]


def html_for_terminals(case):
    case.proxy.set_up(refuses_in="text/html")


def full_disk(case):
    case.patch.setattr(conditions, "MIN_FREE_BYTES", 2**62)


def few_files(case):
    case.patch.setattr("portal.server.node.NEEDED_FILES", 2**62)


FAULTS = [
    # what is wrong, in which part it is found, how it is marked, and part of what is said
    (other_log_key, "Secrets", "wrong", "LOG_KEY did not write the newest row"),
    (other_encryption_keys, "Secrets", "wrong", "KEY_ENCRYPTION_KEYS cannot decrypt"),
    (other_secret_key, "Secrets", "wrong", "SECRET_KEY is not the one of the worker"),
    (other_secret_key, "Proxies", "wrong", "No node accepts what this process signs"),
    (
        another_node_differs,
        "Proxies",
        "wrong",
        "Some nodes do not accept what this process signs: 3",
    ),
    (lost_migration, "Database", "wrong", "run `manage.py migrate`"),
    (later_release, "Database", "warning", "upgrade this node"),
    (no_trigger, "Settings", "warning", "Triggers that guard the log are missing"),
    (no_signing_key, "Signing key", "wrong", "run `manage.py create_signing_key --activate`"),
    (no_worker, "Worker", "wrong", "start `manage.py run_worker`. The last sign of one is 2"),
    (stuck_worker, "Worker", "wrong", 'has been at "Mail" for 20\xa0minutes'),
    (no_mail_server, "Mail server", "wrong", "does not answer as a mail server"),
    (mail_waits, "Outbox", "wrong", "the oldest for 2\xa0hours. The last error: refused."),
    (old_anchor, "Log anchors", "wrong", "is 3\xa0hours old"),
    (no_cache, "Cache", "wrong", "does not answer: "),
    (unknown_certificate, "Address", "wrong", "does not count: self-signed certificate"),
    (no_name, "Address", "wrong", "set up its name in DNS"),
    (certificate_ends, "Address", "warning", "Renew it."),
    (no_hsts, "Address", "wrong", "Strict-Transport-Security does not arrive"),
    (proxy_is_not_believed, "Proxies", "wrong", "Set TRUSTED_PROXIES=127.0.0.2."),
    (scheme_is_not_told, "Proxies", "wrong", "Let it set X-Forwarded-Proto"),
    (host_is_not_passed_on, "Proxies", "wrong", "pass on the client's Host header"),
    (strangers_header_counts, "Proxies", "wrong", "A stranger's X-Forwarded-For counts"),
    (everybody_is_believed, "Proxies", "wrong", "believes everybody (0.0.0.0/0)"),
    (html_for_terminals, "Terminals", "wrong", "Terminals get 413 as text/html"),
    (full_disk, "Disks", "wrong", "make room"),
    (few_files, "Open files", "wrong", "LimitNOFILE="),
]


@pytest.mark.parametrize(
    ("fault", "part", "mark", "told"), FAULTS, ids=[f"{f[0].__name__}-{f[1]}" for f in FAULTS]
)
def test_a_fault_is_told_and_what_was_there_before_was_fine(set_up, fault, part, mark, told):
    assert {each.mark for each in found(part)} == {Mark.OK}
    fault(set_up)
    sentences = [each.sentence for each in found(part) if each.mark == mark]
    assert any(told in sentence for sentence in sentences), found(part)


@pytest.mark.database
@pytest.mark.postgres
@pytest.mark.parametrize(("minutes", "mark"), [(0, "ok"), (0.5, "warning"), (2, "wrong")])
def test_a_clock_that_is_not_the_databases_is_told(minutes, mark):
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        assert [each.mark for each in found("Clock")] == [mark]


def test_html_for_a_502_is_told_when_it_is_provoked(set_up):
    html_for_terminals(set_up)
    assert [each.sentence[:30] for each in found("Terminals", provokes=True)] == [
        "Terminals get 413 as text/html",
        "Terminals get 502 as text/html",
    ]


def test_a_proxy_may_leave_it_to_the_node_to_refuse_a_large_body(set_up):
    set_up.proxy.set_up(max_body=2**40)
    assert [(each.mark, each.sentence) for each in found("Terminals")] == [
        (Mark.OK, "413 under /public/ is JSON.")
    ]


def test_anything_wrong_is_status_1_and_a_line(set_up, capsys):
    no_worker(set_up)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    lines = capsys.readouterr().out.splitlines()
    assert (ended.value.code, sum(line.startswith("wrong    Worker: ") for line in lines)) == (1, 1)
    assert all(line[:9] in {"ok       ", "warning  ", "wrong    "} for line in lines)


def test_a_part_that_fails_or_hangs_hides_no_other(monkeypatch):
    monkeypatch.setattr(findings, "PART_SECONDS", 0.5)
    hanging = threading.Event()

    def fails():
        raise RuntimeError("a bug\nof two lines")

    def hangs():
        yield ok("Something.")
        hanging.wait(5)

    looked = look_at([Part("A", fails), Part("B", hangs), Part("C", lambda: [ok("Fine.")])])
    hanging.set()
    assert [(name, each.mark, each.sentence) for name, each in looked] == [
        ("A", "warning", "Could not be looked at: a bug\\nof two lines."),
        ("B", "ok", "Something."),
        ("B", "warning", "Could not be looked at to its end within 0 s."),
        ("C", "ok", "Fine."),
    ]
