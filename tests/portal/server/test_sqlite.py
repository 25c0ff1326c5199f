"""Transactions on SQLite: in their order, at once when it is free, never longer than allowed."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from portal.activity.models import LogChain
from subscriptions.models import Plan, Subscription
from tests.support.factories import make_subscription
from tests.support.worker import wait_until

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]


@contextmanager
def busy_timeout(milliseconds: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def foreign_writer() -> Iterator[None]:
    """Let another process, as it were, hold the database."""
    writer = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.close()


def test_threads_write_in_the_order_in_which_they_asked():
    got: list[int] = []
    asking = threading.Semaphore(0)

    def write(number: int) -> None:
        connection.ensure_connection()
        asking.release()
        with transaction.atomic():
            got.append(number)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(6)]
    with transaction.atomic():
        for thread in threads:
            thread.start()
            asking.acquire(timeout=10)
            threading.Event().wait(0.02)  # until it has asked, of which nobody is told
    for thread in threads:
        thread.join(10)
    assert got == list(range(6))


def test_a_writer_of_another_process_is_waited_for():
    begun = threading.Event()

    def hold() -> None:
        with foreign_writer():
            begun.set()
            threading.Event().wait(0.1)

    holding = threading.Thread(target=hold)
    holding.start()
    assert begun.wait(10)
    with transaction.atomic():
        assert LogChain.objects.count() == 0
    holding.join()


def test_whoever_may_not_wait_is_told_at_once_and_leaves_the_turn_to_others():
    with busy_timeout(0), foreign_writer():
        begin = monotonic()
        with pytest.raises(OperationalError, match="database is locked"), transaction.atomic():
            raise AssertionError("unreachable")
        assert monotonic() - begin < 1
    with transaction.atomic():
        assert LogChain.objects.count() == 0


def test_the_time_out_holds_behind_another_thread_too():
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            entered.set()
            leave.wait(10)
        connections.close_all()

    holding = threading.Thread(target=hold)
    holding.start()
    assert entered.wait(10)
    with (
        busy_timeout(50),
        pytest.raises(OperationalError, match="database is locked"),
        transaction.atomic(),
    ):
        raise AssertionError("unreachable")
    leave.set()
    holding.join()


def test_the_time_out_stays_what_it_was():
    with busy_timeout(1234):
        with transaction.atomic():
            pass
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            assert cursor.fetchone() == (1234,)


@pytest.fixture
def others_write() -> Iterator[None]:
    """Assert afterwards that another thread can write at once."""
    yield
    written: list[str] = []

    def write() -> None:
        with transaction.atomic():
            LogChain.objects.create()
            written.append("written")
        connections.close_all()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    wait_until(lambda: bool(written))
    thread.join(10)


def test_a_transaction_that_fails_ends_its_turn(others_write):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError


def test_a_commit_that_fails_ends_its_turn(others_write):
    subscription = make_subscription()
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.filter(pk=subscription.pk).update(plan=Plan(pk=4711).pk)


def test_a_connection_that_closes_ends_its_turn(others_write):
    with transaction.atomic():
        connection.close()
