"""Mail: queued with what it tells, sent by the worker, retried until it is out."""

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from portal import outbox
from portal.models import Outbox, Role
from portal.notices import tell_keepers
from tests.support.accounts import make_member
from tests.support.smtp import MailServer
from tests.support.worker import start_worker, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


def queue(to: str = "jane@contoso.example", **more: Any) -> None:
    context = {
        "actor": "Dana Ruiz",
        "what": "reset the primary key",
        "subscription": "Zoë <b>&</b> evil.example",
        "consequence": "The old key has stopped working.",
        "link": "http://localhost:8000/subscriptions/1/",
    }
    outbox.queue(to=to, subject="Keys\nreset", template="license_keys", context=context, **more)


def again() -> None:
    """Let what waits for another attempt be due."""
    Outbox.objects.filter(sent_at=None).update(send_after=timezone.now())


def test_a_mail_is_text_and_html_with_a_link_to_the_portal_alone(server):
    queue()
    work(MAIL_URL=server.url)
    [mail] = server.mails
    assert (mail["To"], mail["Subject"]) == ("jane@contoso.example", "Keys reset")
    parts = {
        part.get_content_type(): part.get_content()
        for part in mail.walk()
        if not part.is_multipart()
    }
    assert list(parts) == ["text/plain", "text/html"]
    assert "Zoë <b>&</b> evil.example" in parts["text/plain"]
    assert "Zoë &lt;b&gt;&amp;&lt;/b&gt; evil.example" in parts["text/html"]
    assert parts["text/html"].count("<a ") == 1
    assert '<a href="http://localhost:8000/subscriptions/1/">' in parts["text/html"]


def test_what_a_sent_mail_said_is_not_kept(server):
    queue()
    work(MAIL_URL=server.url)
    row = Outbox.objects.get()
    assert (row.text, row.html, row.last_error, row.attempts) == ("", "", "", 1)
    assert row.sent_at is not None
    work(MAIL_URL=server.url)
    assert len(server.mails) == 1


def test_nothing_is_sent_of_what_was_rolled_back(server):
    class Fault(Exception):
        pass

    def fail() -> None:
        with transaction.atomic():
            queue()
            raise Fault

    with pytest.raises(Fault):
        fail()
    work(MAIL_URL=server.url)
    assert server.mails == []


@pytest.mark.parametrize("answer", ["451 Later", "550 Nobody", "421 Going down"])
def test_a_refusal_is_tried_again_until_it_is_out(answer, server):
    queue()
    server.answer = answer
    work(MAIL_URL=server.url)
    row = Outbox.objects.get()
    assert (row.sent_at, row.attempts, len(server.mails)) == (None, 1, 0)
    assert row.send_after > timezone.now() + timedelta(seconds=30)
    assert "Error" in row.last_error or "SMTP" in row.last_error
    server.answer = "250 Accepted"
    work(MAIL_URL=server.url)
    assert server.mails == []  # not due yet
    again()
    work(MAIL_URL=server.url)
    assert len(server.mails) == 1


def test_a_server_that_is_away_is_tried_again_later_and_later(server):
    queue()
    server.stop()
    delays = []
    for _ in range(3):
        again()
        work(MAIL_URL=server.url)
        delays.append(Outbox.objects.get().send_after - timezone.now())
    assert [round(delay.total_seconds() / 60) for delay in delays] == [1, 2, 4]
    Outbox.objects.update(attempts=40)
    again()
    work(MAIL_URL=server.url)
    assert Outbox.objects.get().send_after - timezone.now() <= outbox.LONGEST_DELAY
    back = MailServer(server.port)
    again()
    work(MAIL_URL=back.url)
    back.stop()
    assert len(back.mails) == 1


def test_one_refused_mail_holds_up_no_other(server):
    queue(to="nobody@contoso.example")
    Outbox.objects.update(attempts=3, send_after=timezone.now() + timedelta(hours=1))
    queue()
    work(MAIL_URL=server.url)
    assert [mail["To"] for mail in server.mails] == ["jane@contoso.example"]


def test_two_workers_send_each_mail_once(server):
    for number in range(40):
        queue(to=f"p{number}@contoso.example")
    workers = [start_worker("--once", MAIL_URL=server.url) for _ in range(2)]
    for worker in workers:
        worker.communicate(timeout=60)
    assert sorted(mail["To"] for mail in server.mails) == sorted(
        f"p{number}@contoso.example" for number in range(40)
    )


def test_a_mail_of_a_worker_that_died_goes_to_another(server):
    queue()
    Outbox.objects.update(send_after=timezone.now() + outbox.LEASE, attempts=1)
    assert outbox.send_due() == 0
    again()
    work(MAIL_URL=server.url)
    assert len(server.mails) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_sends_what_comes_and_stops_when_told(how, server):
    process = start_worker(MAIL_URL=server.url)
    try:
        queue()
        end = time.monotonic() + 30
        while not server.mails and time.monotonic() < end:
            time.sleep(0.1)
        assert len(server.mails) == 1
        process.send_signal(how)
        out, _ = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in out) == (0, False)


def test_a_worker_without_its_parent_ends():
    process = start_worker("--parent", "1")
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_worker_outlives_a_database_that_is_away():
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    process = start_worker("--once", **nowhere)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in out) == (0, False)
    assert "send_due waits for the database" in out


def test_what_is_sent_once_is_queued_once():
    for _ in range(2):
        queue(once="expiry:1")
    queue(once="expiry:2")
    assert Outbox.objects.count() == 2


def test_owners_and_managers_are_told_and_nobody_else(contoso, fabrikam):
    for role in Role:
        make_member(tenant=contoso, role=role, email=f"{role}@contoso.example")
    make_member(tenant=fabrikam, role=Role.OWNER, email="owner@fabrikam.example")
    gone = make_member(tenant=contoso, role=Role.OWNER, email="gone@contoso.example")
    gone.is_active = False
    gone.save()
    tell_keepers(contoso.pk, subject="Hello", template="license_keys", link="")
    told = sorted(Outbox.objects.values_list("to", "tenant_id"))
    assert told == [
        ("manager@contoso.example", contoso.pk),
        ("owner@contoso.example", contoso.pk),
    ]


def test_old_records_go_and_what_waits_stays():
    queue()
    queue()
    first = Outbox.objects.earliest("pk")
    Outbox.objects.filter(pk=first.pk).update(sent_at=timezone.now() - timedelta(days=31))
    outbox.prune()
    assert first.pk not in Outbox.objects.values_list("pk", flat=True)
    assert Outbox.objects.count() == 1
