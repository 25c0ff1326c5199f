"""Mail: queued with what it tells, sent by the worker, retried until it is out."""

import re
import smtplib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from licenses.management.commands.run_worker import tasks
from portal.mail import outbox
from portal.mail.models import Outbox
from portal.tenants.models import Role, Topic
from portal.tenants.notices import notify
from tests.support.accounts import make_member
from tests.support.races import race
from tests.support.smtp import MailServer
from tests.support.worker import start_worker, wait_until, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


def queue(to: str = "jane@contoso.example", **more: Any) -> None:
    context = {
        "what": "Primary key of Zoë <b>&</b> evil.example was reset by Dana Ruiz.",
        "consequence": "The old key has stopped working.",
        "lead": "Open the subscription",
        "link": "http://localhost:8000/subscriptions/1/",
    }
    outbox.queue(to=to, subject="Keys\nreset", template="news", context=context, **more)


def again() -> None:
    """Let what waits for another attempt be due."""
    Outbox.objects.filter(sent_at=None).update(send_after=timezone.now())


def test_mail_programs_offer_to_stop_what_can_be_stopped(server):
    link = "https://portal.example/stop"
    for label in ("", f"You own it. {outbox.CHOOSE}\n", f"They chose. {outbox.STOP}\n"):
        queue(footer=label and f"{label}{link}")
    work(server.url)
    headers = [
        {name: value for name, value in mail.items() if name.startswith("List-")}
        for mail in server.mails
    ]
    where = {"List-Unsubscribe": f"<{link}>"}
    assert headers == [{}, where, where | {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}]


def test_a_mail_is_text_and_html_with_a_link_to_the_portal_alone(server):
    queue()
    work(server.url)
    [mail] = server.mails
    assert (mail["To"], mail["Subject"]) == ("jane@contoso.example", "Keys reset")
    assert mail["Auto-Submitted"] == "auto-generated"  # RFC 3834
    parts = {
        part.get_content_type(): part.get_content()
        for part in mail.walk()
        if not part.is_multipart()
    }
    assert list(parts) == ["text/plain", "text/html"]
    assert "Zoë <b>&</b> evil.example" in parts["text/plain"]
    assert "Zoë &lt;b&gt;&amp;&lt;/b&gt; evil.example" in parts["text/html"]
    assert parts["text/html"].count("<a ") == 1
    assert '<a href="http://localhost:8000/subscriptions/1/"' in parts["text/html"]


def test_what_a_sent_mail_said_is_not_kept(server):
    queue()
    work(server.url)
    row = Outbox.objects.get()
    assert (row.text, row.html, row.last_error, row.attempts) == ("", "", "", 1)
    assert row.sent_at is not None
    work(server.url)
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
    work(server.url)
    assert server.mails == []


def test_prepared_mails_are_stored_when_it_is_time():
    with outbox.prepare() as mails:
        queue()
        queue("sam@contoso.example", once="reminder:1")
    queue("kim@contoso.example")
    assert [mail.to for mail in Outbox.objects.all()] == ["kim@contoso.example"]
    outbox.store(mails)
    with outbox.prepare() as again:
        queue("sam@contoso.example", once="reminder:1")
    outbox.store(again)
    assert sorted(mail.to for mail in Outbox.objects.all()) == [
        "jane@contoso.example",
        "kim@contoso.example",
        "sam@contoso.example",
    ]


@pytest.mark.parametrize("answer", ["451 Later", "550 Nobody", "421 Going down"])
@pytest.mark.parametrize("place", ["answer", "verdict"])
def test_a_refusal_is_tried_again_until_it_is_out(place, answer, server):
    queue()
    setattr(server, place, answer)
    work(server.url)
    row = Outbox.objects.get()
    assert (row.sent_at, row.attempts, len(server.mails)) == (None, 1, 0)
    assert row.send_after > timezone.now() + timedelta(seconds=30)
    assert "Error" in row.last_error or "SMTP" in row.last_error
    setattr(server, place, "250 Accepted")
    work(server.url)
    assert server.mails == []  # not due yet
    again()
    work(server.url)
    assert len(server.mails) == 1


def test_a_server_that_is_away_is_tried_again_later_and_later(server):
    queue()
    server.stop()
    delays = []
    for _ in range(3):
        again()
        work(server.url)
        delays.append(Outbox.objects.get().send_after - timezone.now())
    assert [round(delay.total_seconds() / 60) for delay in delays] == [1, 2, 4]
    Outbox.objects.update(attempts=40)
    again()
    work(server.url)
    assert Outbox.objects.get().send_after - timezone.now() <= outbox.MAX_DELAY
    back = MailServer(server.port)
    again()
    work(back.url)
    back.stop()
    assert len(back.mails) == 1


def test_a_mail_that_can_not_be_sent_holds_up_no_other(server):
    queue(to="jané@contoso.example")
    queue()
    work(server.url)
    assert [mail["To"] for mail in server.mails] == ["jane@contoso.example"]
    assert Outbox.objects.waiting().get().last_error == outbox.UNWRITTEN


def test_while_the_server_is_away_mails_wait_untried():
    for _ in range(3):
        queue()
    work("smtp://127.0.0.1:1")
    assert sorted(Outbox.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_many_mails_go_over_one_connection(server):
    for number in range(5):
        queue(to=f"p{number}@contoso.example")
    work(server.url)
    assert (len(server.mails), server.sessions) == (5, 1)


def test_a_mail_is_given_up_after_a_week_and_operators_see_it(caplog):
    queue(to="old@contoso.example")
    week = timezone.now() - outbox.MAX_TRIED_FOR
    Outbox.objects.update(created_at=week, last_error="SMTPRecipientsRefused: 550 Nobody")
    queue()
    outbox.prune()
    [young] = Outbox.objects.waiting()
    old = Outbox.objects.get(to="old@contoso.example")
    assert (young.to, old.text, old.html) == ("jane@contoso.example", "", "")
    assert old.last_error == "SMTPRecipientsRefused: 550 Nobody"
    assert caplog.messages == ["1 mails were given up after 7 days, 0:00:00"]
    outbox.prune(now=timezone.now() + outbox.MAX_KEPT_FOR)
    assert not Outbox.objects.filter(pk=old.pk).exists()


def test_a_subject_with_a_long_name_is_cut():
    outbox.queue(to="jane@contoso.example", subject="N" * 300, template="news", context={})
    assert Outbox.objects.get().subject == "N" * 199 + "…"


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_mail_once(server):
    for number in range(40):
        queue(to=f"p{number}@contoso.example")
    assert race(lambda: work(server.url)) == [None, None]
    assert sorted(mail["To"] for mail in server.mails) == sorted(
        f"p{number}@contoso.example" for number in range(40)
    )


def test_a_mail_of_a_worker_that_was_killed_goes_to_another(server, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    queue()
    with monkeypatch.context() as patch:
        patch.setattr(smtplib.SMTP, "data", killed)
        with pytest.raises(Killed):
            work(server.url)
    work(server.url)
    assert server.texts == 0  # still the other's, as far as anybody knows
    again()
    work(server.url)
    assert (server.texts, len(server.mails)) == (1, 1)


def test_what_is_sent_again_has_the_same_message_id_of_the_portals_domain(server):
    for _ in range(2):
        queue()
    before = list(Outbox.objects.order_by("pk").values())
    work(server.url)
    for columns in before:  # as a worker left it that died before it noted what it had sent
        Outbox.objects.filter(pk=columns["id"]).update(**columns)
    work(server.url)
    first, second, *again = [mail["Message-ID"] for mail in server.mails]
    assert again == [first, second]
    assert first != second
    assert re.fullmatch(r"<[0-9a-f]+@localhost>", first)


def test_a_worker_that_is_told_to_stop_ends_after_the_mail_under_way(server):
    for number in range(5):
        queue(to=f"p{number}@contoso.example")
    stopping = threading.Event()

    def stop_at_the_second() -> None:
        if server.texts == 2:
            stopping.set()

    server.before_verdict = stop_at_the_second
    work(server.url, stopping=stopping)
    assert len(server.mails) == 2
    assert Outbox.objects.waiting().count() == 3
    work(server.url)
    assert len({mail["To"] for mail in server.mails}) == len(server.mails) == 5


@pytest.mark.django_db(transaction=True)
def test_the_worker_sends_what_comes_and_stops_when_told(server):
    """As a process: SIGINT, and an end with its parent, are in tests/demonstration."""
    process = start_worker(MAIL_URL=server.url)
    try:
        queue()
        wait_until(lambda: len(server.mails) == 1)
        process.terminate()
        out, _ = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in out) == (0, False)


@pytest.mark.django_db(transaction=True)
def test_a_worker_outlives_a_database_that_is_away(caplog):
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(away):
        work("smtp://127.0.0.1:1")
    assert [message.partition(" waits for the database: ")[::2] for message in caplog.messages] == [
        (task.name, "OperationalError") for task in tasks(threading.Event())
    ]


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
    notify(contoso.pk, topic=Topic.KEYS, subject="Hello")
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
