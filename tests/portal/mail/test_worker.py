"""The worker's loop: what fails stops nothing else, and a bug is not taken for an outage."""

import logging
import threading
from datetime import timedelta
from functools import partial

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from portal.accounts import expired_sessions
from portal.core import steps
from portal.core.outages import is_outage
from portal.mail import outbox
from portal.mail.models import Outbox
from portal.mail.worker import Task, do_each, work
from portal.tenants.models import Tenant
from tests.support.accounts import sign_in
from tests.support.database import held_by_a_writer

pytestmark = pytest.mark.django_db(transaction=True)


def run(*functions):
    """Do the tasks once, in this order."""
    tasks = [Task(name=f"Task {number}", period=1, do=do) for number, do in enumerate(functions)]
    work(tasks, stopping=threading.Event(), once=True)


def select_from_nowhere():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM a_table_that_is_not_there")


def divide():
    return 1 / 0


@pytest.mark.parametrize("bug", [select_from_nowhere, divide])
def test_a_task_that_fails_is_logged_with_its_traceback_and_the_others_go_on(bug, caplog):
    done: list[int] = []
    run(partial(done.append, 1), bug, partial(done.append, 2))
    assert done == [1, 2]
    [record] = caplog.records
    assert (record.levelno, record.message) == (
        logging.ERROR,
        "Task 1 failed, and is tried again later",
    )
    assert bug.__name__ in record.exc_text


def test_an_outage_is_one_line_and_the_others_go_on(contoso, caplog):
    done: list[int] = []
    with held_by_a_writer(Tenant._meta.db_table):
        run(lambda: Tenant.objects.update(name="Changed"), partial(done.append, 1))
    assert done == [1]
    [record] = caplog.records
    assert (record.message, record.exc_info) == (
        "Task 0 waits for the database: OperationalError",
        None,
    )
    assert Tenant.objects.get().name == "Contoso"


def test_a_row_that_fails_leaves_the_others_alone(caplog):
    assert do_each([1, 0, 2], lambda n: 2 / n, what="Row") == [2.0, 1.0]
    [record] = caplog.records
    assert record.message == "Row 0 failed; the others go on"
    assert "ZeroDivisionError" in record.exc_text


def test_an_outage_ends_the_rows():
    done: list[int] = []

    def do(number):
        done.append(number)
        Tenant.objects.create(name="Adatum", country="USA")

    with held_by_a_writer(Tenant._meta.db_table), pytest.raises(DatabaseError) as caught:
        do_each([1, 2], do, what="Row")
    assert (done, is_outage(caught.value)) == ([1], True)


class BrokenFor(BaseEmailBackend):
    """A mail backend with a bug that one address shows."""

    def open(self):
        return True

    def send_messages(self, email_messages):
        if email_messages[0].to == ["bad@contoso.example"]:
            raise KeyError("bad")
        return 1


def test_a_mail_that_shows_a_bug_waits_and_the_others_go_out(settings, caplog):
    settings.MAILERS = {"default": {"BACKEND": f"{__name__}.BrokenFor"}}
    for to in ("bad@contoso.example", "jane@contoso.example"):
        outbox.composed(to=to, subject="Hello", text="Hello.").save()
    assert outbox.send_due() == 1
    assert Outbox.objects.waiting().get().last_error == outbox.UNWRITTEN
    assert [record.exc_info is not None for record in caplog.records] == [True, False]


class Answers(BrokenFor):
    """A mail server whose answer holds what PostgreSQL cannot store."""

    def send_messages(self, email_messages):
        raise OSError("550 no\x00body\r\n")


def test_what_a_server_answers_can_be_stored(settings):
    settings.MAILERS = {"default": {"BACKEND": f"{__name__}.Answers"}}
    outbox.composed(to="jane@contoso.example", subject="Hello", text="Hello.").save()
    outbox.send_due()
    assert Outbox.objects.get().last_error == "OSError: 550 no body  "


def test_expired_sessions_are_removed_in_small_steps(owner, viewer, monkeypatch):
    monkeypatch.setattr(steps, "ROWS_PER_STEP", 1)
    clients = [sign_in(Client(), user) for user in (owner, owner, viewer)]
    for client in clients:
        assert client.get("/logs/").status_code == 200
    now = timezone.now()
    *expired, young = [client.session.session_key for client in clients]
    Session.objects.filter(pk__in=expired).update(expire_date=now + timedelta(days=1))
    later = now + timedelta(days=1)
    assert expired_sessions.clear(now=later) == 0
    assert expired_sessions.clear(now=later + timedelta(seconds=1), stopped=lambda: True) == 0
    assert UserSession.objects.count() == 3
    assert expired_sessions.clear(now=later + timedelta(seconds=1)) == 2
    assert [session.pk for session in Session.objects.all()] == [young]
    assert [listed.session_key for listed in UserSession.objects.all()] == [young]
    assert clients[-1].get("/logs/").status_code == 200
