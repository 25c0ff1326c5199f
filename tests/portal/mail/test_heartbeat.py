"""Workers give signs of life, and `run_worker --check` reads them."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.config import database_secrets
from portal.core.actors import SYSTEM
from portal.mail.heartbeat import Heart, living, why_not_working
from portal.mail.models import Heartbeat
from tests.support.worker import start_worker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def check():
    call_command("run_worker", "--check")


def test_a_worker_lives_until_it_ends_in_order():
    with pytest.raises(
        CommandError, match=r"^No worker runs on .+: start `manage.py run_worker`.$"
    ):
        check()
    with Heart() as heart:
        wait_until(lambda: living() != [])
        heart.does("Mail")
        heart._beat()
        [row] = living()
        assert (row.host, row.pid, row.doing) == (heart.name["host"], heart.name["pid"], "Mail")
        check()
    assert not Heartbeat.objects.exists()


def test_one_that_was_killed_is_missed_after_a_minute_and_forgotten_after_a_day():
    Heart()._beat()
    now = timezone.now()
    assert [*why_not_working(now=now + timedelta(seconds=59))] == []
    [sentence] = why_not_working(now=now + timedelta(seconds=61))
    assert sentence.startswith("No worker runs: start `manage.py run_worker`. The last sign of")
    Heartbeat.objects.update(pid=1, beat_at=now - timedelta(days=1, seconds=1))
    Heart()._beat()
    assert [row.pid for row in Heartbeat.objects.all()] != [1]
    assert Heartbeat.objects.count() == 1


def test_one_that_does_a_task_for_too_long_is_told_unless_another_works():
    Heart()._beat()
    long_ago = timezone.now() - timedelta(minutes=16)
    Heartbeat.objects.update(doing="Reminders", doing_since=long_ago)
    with pytest.raises(
        CommandError, match='has been at "Reminders" for 16.minutes: look at its log'
    ):
        check()
    Heartbeat.objects.update(pid=1)
    Heart()._beat()
    check()


def test_a_worker_of_another_machine_does_not_count_for_this_one():
    Heart()._beat()
    Heartbeat.objects.update(host="elsewhere")
    assert [*why_not_working()] == []
    with pytest.raises(CommandError, match="^No worker runs on "):
        check()


def test_nothing_is_written_where_secrets_do_not_fit(settings, monkeypatch):
    with transaction.atomic():
        record(actor=SYSTEM, action=Action.RECORD_ADDED)
    monkeypatch.setattr(database_secrets, "_verdict", None)
    settings.LOG_KEY = "another key of at least thirty-two characters"
    Heart()._beat()
    assert not Heartbeat.objects.exists()


@pytest.mark.sweep
def test_the_process_gives_signs_of_life():
    process = start_worker()
    try:
        wait_until(lambda: [row.pid for row in living()] == [process.pid])
        check()
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert not Heartbeat.objects.exists()
