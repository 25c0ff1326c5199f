"""Renew: once per key, when its end is near; otherwise what is there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from licenses.checking.check import check
from licenses.flows.delete import delete_keys
from licenses.flows.renew import Renewal, renew
from licenses.flows.reset import Overlap
from licenses.flows.revoke import revoke_key
from licenses.models import License, LicenseKey, SigningKey, Slot
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind
from portal.mail.models import Outbox
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import make_subscription
from tests.support.license_flows import (
    ADA,
    DAY,
    NOW,
    after_reset,
    at,
    broken_log,
    generated,
    meanwhile,
    opened,
    refusal,
    stored,
)

pytestmark = pytest.mark.django_db

ENDS = (NOW + 31 * DAY).replace(microsecond=0)
OPENS = ENDS - timedelta(days=9.3)
"""When the last 30 % of the 31 days begin."""
SECOND = timedelta(seconds=1)
ROBOT = Actor(kind=ActorKind.MEMBER, name="Build server")


@pytest.fixture
def license(contoso: Tenant, signing_key: SigningKey) -> License:
    """A license of a monthly plan with both keys."""
    return generated(make_subscription(tenant=contoso, name="Production"))


@pytest.fixture
def old(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


def renewed(license: License, now: datetime = OPENS) -> Renewal:
    own = License.objects.select_related("subscription").get(pk=license.pk)
    return renew(license=own, slot=Slot.PRIMARY, actor=ROBOT, now=now)


def result(key: LicenseKey, now: datetime) -> str:
    return check(key.token or "", expected={}, now=now).result.value


def unchanged(license: License, now: datetime) -> LicenseKey:
    """Return the key that a renewal answers with that changes nothing at all."""
    before = stored()
    answer = renewed(license, now)
    assert (stored(), answer.renewed) == (before, False)
    return answer.key


@pytest.mark.parametrize("now", [NOW, OPENS - SECOND])
def test_too_early_the_key_that_is_there_is_the_answer(
    license: License, old: LicenseKey, now: datetime
) -> None:
    assert unchanged(license, now) == old


@pytest.mark.parametrize(
    ("now", "works_until"),
    [
        (OPENS, OPENS + 7 * DAY),
        (ENDS - 2 * DAY, ENDS),
        (ENDS, None),
        (ENDS + 14 * DAY, None),
    ],
)
def test_near_its_end_a_key_gets_a_successor_and_works_seven_more_days_at_most(
    license: License, old: LicenseKey, now: datetime, works_until: datetime | None
) -> None:
    answer = renewed(license, now)
    assert (answer.renewed, answer.key.slot) == (True, Slot.PRIMARY)
    assert answer.key.expires_at == (now + 31 * DAY).replace(microsecond=0)
    old.refresh_from_db()
    assert old.accepted_until == works_until
    assert (old.state, result(answer.key, now)) == (
        "superseded" if works_until else "replaced",
        "valid",
    )
    if works_until:
        ends = [result(old, moment) for moment in (works_until - SECOND, works_until)]
        assert ends == ["superseded", "replaced"]


def test_a_renewal_repeated_answers_with_the_new_key(license: License) -> None:
    new = renewed(license).key
    assert unchanged(license, OPENS) == unchanged(license, OPENS + 7 * DAY) == new


def test_each_key_has_its_turn(license: License) -> None:
    first = renewed(license).key
    answer = renewed(license, first.expires_at - DAY)
    assert (answer.renewed, answer.key.pk > first.pk) == (True, True)
    assert license.keys.count() == 4


def test_a_reset_key_is_not_renewed_before_its_own_time(license: License) -> None:
    new = after_reset(license, overlap=Overlap.EXPIRY, now=OPENS - DAY)
    assert unchanged(license, OPENS) == new


def test_an_older_key_in_its_overlap_stops_as_by_a_reset(license: License, old: LicenseKey) -> None:
    second = after_reset(license, overlap=Overlap.EXPIRY, now=NOW + SECOND)
    third = renewed(license, ENDS - DAY).key
    assert [result(key, ENDS - DAY) for key in (old, second, third)] == [
        "replaced", "superseded", "valid",
    ]  # fmt: skip


def test_the_new_key_is_the_old_one_but_for_what_is_new(license: License, old: LicenseKey) -> None:
    before, after = opened(old.token)[1], opened(renewed(license).key.token)[1]
    assert {name for name in before | after if before.get(name) != after.get(name)} == {
        "jti", "iat", "nbf", "exp", "status",
    }  # fmt: skip


def test_it_is_told_by_one_log_row_and_a_mail(
    license: License, old: LicenseKey, owner: User
) -> None:
    new = renewed(license).key
    entry = LogEntry.objects.get(action="license_key.renewed")
    assert (entry.actor_name, entry.slot, entry.describe(), entry.details) == (
        "Build server",
        "primary",
        "Primary license key renewed",
        {
            "jti": str(new.jti),
            "replaces": str(old.jti),
            "accepted_until": (OPENS + 7 * DAY).isoformat(),
        },
    )
    [mail] = Outbox.objects.filter(subject__contains="renewed")
    assert mail.subject == "Primary key of Production was renewed by Build server"
    assert f"need the new license file before {at(OPENS + 7 * DAY)}." in " ".join(mail.text.split())


def test_nothing_is_signed_that_would_end_with_the_subscription_like_the_key_itself(
    license: License, old: LicenseKey
) -> None:
    Subscription.objects.update(ends_at=ENDS + SECOND / 2)
    assert unchanged(license, OPENS) == old
    Subscription.objects.update(ends_at=ENDS + DAY)
    assert renewed(license).key.expires_at == ENDS + DAY


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda key: revoke_key(key=key, actor=ADA, reason="It leaked.", now=NOW),
            "The primary key was revoked: it is not renewed. Reset it to get a new one.",
        ),
        (
            lambda key: delete_keys(license=key.license, actor=ADA, now=NOW),
            f"Ada Lovelace deleted these license keys on {at(NOW)}. There is nothing to renew.",
        ),
        (
            lambda key: Subscription.objects.update(state=State.SUSPENDED),
            (
                "This subscription is suspended. License keys are renewed on active subscriptions "
                "only."
            ),
        ),
        (
            lambda key: Subscription.objects.update(ends_at=OPENS),
            "This subscription has ended. License keys are renewed on active subscriptions only.",
        ),
        (
            lambda key: Subscription.objects.update(plan=Plan.objects.get(code="smb-yearly")),
            (
                "The plan of this subscription has changed since the license keys were generated. "
                "Delete them and generate new ones to get keys of the new plan."
            ),
        ),
    ],
    ids=["revoked", "deleted", "suspended", "ended", "another plan"],
)
@pytest.mark.parametrize("when", ["before", "while it is signed"])
def test_it_is_refused_in_a_sentence(
    license: License, old: LicenseKey, change: Callable[[LicenseKey], Any], sentence: str, when: str
) -> None:
    key = LicenseKey.objects.select_related("license__subscription").get(pk=old.pk)
    if when == "before":
        change(key)
        assert refusal(lambda: renewed(license)).sentence == sentence
        return
    with meanwhile(lambda: change(key)), pytest.raises(Exception, match=".") as caught:
        renewed(license)
    assert str(caught.value) == sentence
    assert license.keys.count() == 2


def test_a_key_that_ended_long_ago_is_reset_by_somebody(license: License) -> None:
    assert refusal(lambda: renewed(license, ENDS + 14 * DAY + SECOND)).sentence == (
        f"The primary key expired on {at(ENDS)}, more than 14 days ago: it is not renewed any "
        "more. Reset it instead."
    )


def test_a_reset_while_it_is_signed_is_the_answer(license: License) -> None:
    now = OPENS + SECOND
    with meanwhile(lambda: after_reset(license, now=now)):
        answer = renewed(license, now)
    assert (answer.renewed, answer.key.created_by_name) == (False, "Bob Babbage")
    assert license.keys.filter(slot=Slot.PRIMARY).count() == 2


def test_a_failure_half_way_leaves_the_old_key(license: License, old: LicenseKey) -> None:
    with broken_log():
        renewed(license)
    assert result(old, OPENS) == "valid"
