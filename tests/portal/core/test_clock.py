"""A node whose clock is wrong writes nothing, and judges by the database's."""

from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from licenses.checking.check import check
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.clock import WrongClock, seconds_ahead
from tests.support.factories import make_license

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("before", "database", "after", "ahead"),
    [(10, 12, 15, 0), (10, 4, 15, 6), (10, 20, 15, -5)],
)
def test_what_the_question_took_is_no_difference(before, database, after, ahead):
    assert seconds_ahead(before, database, after) == ahead


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("jump", [DAY, -DAY, timedelta(minutes=-2)])
def test_nothing_is_written(jump, contoso):
    with (
        time_machine.travel(timezone.now() + jump),
        pytest.raises(WrongClock, match=r"The clock of this machine is \d+ s (ahead of|behind) "),
        transaction.atomic(),
    ):
        record(actor=SYSTEM, action=Action.TENANT_EXPORTED, tenant_id=contoso.pk)
    assert not LogEntry.objects.for_tenant(contoso.pk).exists()


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_key_is_judged_by_the_time_of_the_database(jump, signing_key):
    now = timezone.now().replace(microsecond=0)
    for expires_at, verdict in ((now - timedelta(minutes=6), "expired"), (now + DAY / 2, "valid")):
        license = make_license(issued_at=now - DAY / 2, expires_at=expires_at)
        token = license.keys.first().token
        with time_machine.travel(now + jump):
            assert check(token, expected={}).result == verdict
