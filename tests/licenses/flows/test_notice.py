"""What nobody does: a new key is checked first, an overlap ends, an end date passes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from licenses.checking import counts
from licenses.checking.results import Result
from licenses.flows import notice
from licenses.flows.delete import delete_keys
from licenses.flows.reset import Overlap, reset_key
from licenses.models import LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.dates import moment
from portal.mail.models import Outbox
from portal.tenants.models import Role
from subscriptions.models import State, Subscription
from tests.support.accounts import make_member
from tests.support.factories import make_license, make_subscription
from tests.support.races import race

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def license(contoso, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso), issued_at=NOW)


def reset(license, overlap=Overlap.WEEK):
    seen = license.keys.current().get(slot=Slot.PRIMARY)
    return reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=SYSTEM,
        overlap=overlap,
        expected_jti=seen.jti,
        now=NOW,
    )


def rows(action):
    return list(LogEntry.objects.of_action(action).order_by("pk"))


def test_the_first_check_of_a_reset_key_completes_its_rotation_once(license):
    new = reset(license)
    assert notice.notice_rotations() == 0
    counts.count(new, Result.REVOKED, NOW + HOUR)
    assert notice.notice_rotations() == 0
    counts.count(new, Result.VALID, NOW + 2 * HOUR)
    counts.count(new, Result.VALID, NOW + 3 * HOUR)
    assert [notice.notice_rotations() for _ in range(2)] == [1, 0]
    [row] = rows(Action.ROTATION_COMPLETED)
    assert (row.slot, row.actor_name, row.subscription_id) == (
        "primary",
        "System",
        license.subscription_id,
    )
    assert row.details == {
        "jti": str(new.jti),
        "first_checked_at": (NOW + 2 * HOUR).isoformat(),
    }


def test_keys_that_were_generated_rotate_nothing(license):
    counts.count(license.keys.current().first(), Result.VALID, NOW)
    assert notice.notice_rotations() == 0


def test_a_key_that_is_gone_is_not_waited_for(license):
    new = reset(license)
    delete_keys(license=license, actor=SYSTEM)
    counts.count(new, Result.VALID, NOW)
    assert notice.notice_rotations() == 0
    assert not LicenseKey.objects.filter(awaits_first_check=True).exists()


def test_the_end_of_an_overlap_is_told_a_day_before_and_once(license):
    reset(license)
    end = NOW + timedelta(days=7)
    old = license.keys.get(slot=Slot.PRIMARY, accepted_until=end)
    day = timedelta(days=1)
    assert notice.notice_overlaps(now=end - day - HOUR) == 0
    assert [notice.notice_overlaps(now=end - day) for _ in range(2)] == [1, 0]
    [row] = rows(Action.OVERLAP_ENDING)
    assert row.details == {"jti": str(old.jti), "accepted_until": end.isoformat()}


@pytest.mark.parametrize(
    ("asked", "state", "mails"),
    [
        (5 * 24 * HOUR, State.ACTIVE, 0),
        (6 * 24 * HOUR - HOUR, State.ACTIVE, 1),
        (6 * 24 * HOUR - HOUR, State.SUSPENDED, 0),
    ],
)
def test_a_mail_says_that_an_overlap_ends_if_terminals_that_start_use_the_old_key(
    asked, state, mails, license
):
    make_member(tenant=license.tenant, role=Role.OWNER, email="owner@contoso.example")
    old = license.keys.current().get(slot=Slot.PRIMARY)
    reset(license)
    Outbox.objects.all().delete()
    counts.count(old, Result.SUPERSEDED, NOW + asked)
    Subscription.objects.update(state=state)
    assert notice.notice_overlaps(now=NOW + 6 * 24 * HOUR + HOUR) == 1
    until = moment(NOW + 7 * 24 * HOUR)
    assert [(mail.subject, until in mail.text) for mail in Outbox.objects.all()] == mails * [
        (f"The old primary key of {license.subscription} stops working in 23 hours", True)
    ]


def test_of_an_overlap_of_a_day_the_reset_tells(license):
    reset(license, Overlap.DAY)
    assert notice.notice_overlaps(now=NOW + HOUR) == 0


def test_an_end_date_that_has_passed_is_told_once_and_again_when_it_was_moved(contoso):
    subscription = make_subscription(tenant=contoso, starts_at=NOW - 48 * HOUR, ends_at=NOW - HOUR)
    make_subscription(
        tenant=contoso, state=State.ENDED, starts_at=NOW - 48 * HOUR, ends_at=NOW - HOUR
    )
    make_subscription(tenant=contoso, ends_at=NOW + HOUR)
    assert [notice.notice_ends(now=NOW) for _ in range(2)] == [1, 0]
    subscription.ends_at = NOW + 5 * HOUR
    subscription.save(update_fields=["ends_at"])
    assert [notice.notice_ends(now=NOW + 6 * HOUR) for _ in range(2)] == [2, 0]
    first = rows(Action.SUBSCRIPTION_RAN_OUT)[0]
    assert first.details == {"ends_at": (NOW - HOUR).isoformat()}


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_one_records(license):
    new = reset(license)
    counts.count(new, Result.VALID, NOW)
    race(notice.notice_rotations, 3)
    assert len(rows(Action.ROTATION_COMPLETED)) == 1
