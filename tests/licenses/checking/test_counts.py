"""Counts of checks: what an outage or a bad row does to the others, and when they go."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.utils import timezone

from licenses.checking import counts
from licenses.models import CheckCount
from portal.core import steps
from tests.support.database import held_by_a_writer
from tests.support.factories import make_license

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keys(contoso, signing_key):
    return list(make_license().keys.order_by("slot"))


@contextmanager
def kept_back(caplog) -> Iterator[None]:
    """Let the counts that are made inside be written later, since the database is locked."""
    with held_by_a_writer(CheckCount._meta.db_table):
        yield
    assert set(caplog.messages) == {"Checks will be counted later: OperationalError"}
    caplog.clear()


def stored():
    return dict(CheckCount.objects.values_list("license_key_id", "count"))


def test_what_cannot_be_written_now_is_added_to_what_comes(keys, caplog):
    first, second = keys
    now = timezone.now().replace(minute=30, microsecond=0)
    with kept_back(caplog):
        counts.count(first, "valid", now)
        counts.count(second, "valid", now)
        counts.count(first, "valid", now - timedelta(minutes=1))
    assert stored() == {}
    counts.count(first, "valid", now)
    assert stored() == {first.pk: 3, second.pk: 1}
    assert CheckCount.objects.get(license_key=first).last_at == now
    assert caplog.messages == []


def test_a_row_that_cannot_be_written_keeps_no_other_from_it(keys, caplog):
    """A key of no license, which the database refuses, lies between those of others."""
    first, second = keys
    gone = SimpleNamespace(pk=10**9, tenant_id=uuid4())
    too_many = SimpleNamespace(pk=10**30, tenant_id=first.tenant_id)
    now = timezone.now()
    with kept_back(caplog):
        for key in (first, gone, too_many, second):
            counts.count(key, "valid", now)
    counts.count(second, "valid", now)
    assert stored() == {first.pk: 1, second.pk: 2}
    lost = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.args[:2] for record in lost] == [(1, gone.pk), (1, too_many.pk)]
    assert all(record.exc_info for record in lost)
    caplog.clear()
    counts.write()
    assert caplog.messages == []


def test_rows_beyond_the_limit_are_dropped_and_told(keys, caplog, monkeypatch):
    monkeypatch.setattr(counts, "MAX_ROWS", 2)
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    with held_by_a_writer(CheckCount._meta.db_table):
        for hours in (0, 1, 2, 0):
            counts.count(keys[0], "valid", now - timedelta(hours=hours))
    counts.write()
    kept = dict(CheckCount.objects.values_list("hour", "count"))
    assert kept == {now: 2, now - timedelta(hours=1): 1}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "1 checks were not counted: too many while nothing was written."
    ]


def test_old_counts_are_removed_in_small_steps(keys, settings, monkeypatch):
    monkeypatch.setattr(steps, "ROWS_PER_STEP", 2)
    settings.CHECK_COUNT_DAYS = 100
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours in range(-3, 2):
        counts.count(keys[0], "valid", now - timedelta(days=100, hours=hours))
    assert counts.prune(now=now, stopped=lambda: True) == 0
    assert counts.prune(now=now - timedelta(hours=1)) == 0
    assert counts.prune(now=now) == 1
    assert CheckCount.objects.earliest("hour").hour == now - timedelta(days=100)
    assert counts.prune(now=now + timedelta(hours=9)) == 4
