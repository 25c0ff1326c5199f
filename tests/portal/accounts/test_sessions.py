"""Sessions: they end in time and with the account, and noting their use delays no page."""

import sqlite3
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.flows.accounts import edit_user
from portal.accounts.sessions import is_over
from portal.activity.models import LogEntry
from tests.support.accounts import sign_in
from tests.support.mails import mails
from tests.support.operator_actions import WHY, do, results

pytestmark = pytest.mark.django_db
PROFILE, SESSIONS = reverse("profile:detail"), reverse("usersessions_list")


def after(client, *hours):
    """Return the status of a page, asked for after each of these hours."""
    now, found = timezone.now(), []
    for passed in hours:
        with time_machine.travel(now + timedelta(hours=passed), tick=False):
            found.append(client.get(PROFILE).status_code)
    return found


def test_a_session_ends_when_it_is_not_used(owner, owner_client):
    assert after(owner_client, 0, 71, 142, 214.5) == [200, 200, 200, 302]


def test_a_session_ends_at_its_age_however_much_it_is_used(owner, owner_client):
    assert after(owner_client, *range(0, 360, 70)) == [200, 200, 200, 200, 200, 302]


def test_a_session_of_an_operator_ends_after_twelve_hours(operator_client):
    assert after(operator_client, 0, 6, 11.9, 12.1) == [200, 200, 200, 302]


def test_the_limits_are_settings(owner_client, settings):
    settings.SESSION_IDLE_HOURS = 1
    assert after(owner_client, 0, 0.9, 2) == [200, 200, 302]


@pytest.mark.parametrize(("early", "over"), [(1, False), (0, True)])
def test_sessions_end_at_their_very_moments(early, over, owner, operator, settings):
    now = timezone.now()
    limits = {owner: settings.SESSION_HOURS, operator: settings.OPERATOR_SESSION_HOURS}
    for user, hours in limits.items():
        started = now - timedelta(hours=hours, microseconds=-early)
        row = UserSession(created_at=started, last_seen_at=now)
        assert is_over({}, user, row, now) == over
    last = now - timedelta(hours=settings.SESSION_IDLE_HOURS, microseconds=-early)
    assert is_over({}, owner, UserSession(created_at=last, last_seen_at=last), now) == over


def test_use_is_noted_once_a_minute(owner_client):
    now = timezone.now()
    seen = []
    for seconds in (0, 30, 59.999, 60):
        with time_machine.travel(now + timedelta(seconds=seconds), tick=False):
            owner_client.get(PROFILE)
        seen.append((UserSession.objects.get().last_seen_at - now).total_seconds())
    assert seen == [0, 0, 0, 60]


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [True, False])
def test_a_page_is_read_while_a_writer_holds_the_database(owner_client, known):
    if known:
        owner_client.get(PROFILE)
    writer = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert owner_client.get("/subscriptions/").status_code == 200
    writer.execute("ROLLBACK")
    writer.close()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == (30_000,)
    assert UserSession.objects.count() == known


@contextmanager
def held():
    """Let a writer hold the database, for which nobody waits long."""
    writer = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 100")
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.execute("ROLLBACK")
        writer.close()
        connection.close()


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", [PROFILE, SESSIONS])
def test_the_list_of_sessions_is_read_while_a_writer_holds_the_database(owner, owner_client, page):
    other = sign_in(Client(), owner)
    for client in (other, owner_client):
        client.get(PROFILE)
    Session.objects.filter(pk=other.session.session_key).delete()
    with held():
        assert owner_client.get(page).status_code == 200


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_over_ends_while_a_writer_holds_the_database(owner, owner_client):
    owner_client.get(PROFILE)
    cookies = owner_client.cookies.copy()
    with time_machine.travel(timezone.now() + timedelta(hours=73)):
        with held():
            asked = owner_client.get(PROFILE)
        assert asked["Location"] == f"/accounts/login/?next={PROFILE}"
        assert not owner_client.cookies["sessionid"].value
        assert Session.objects.exists()
        again = Client()
        again.cookies = cookies
        assert again.get(PROFILE).status_code == 302
        assert not Session.objects.exists()


def test_the_list_shows_the_sessions_that_are_not_over(owner, owner_client):
    now = timezone.now()
    gone, expired, idle, of_before = [sign_in(Client(), owner) for _ in range(4)]
    for client in (owner_client, gone, expired, idle, of_before):
        client.get(PROFILE)
    Session.objects.filter(pk=gone.session.session_key).delete()
    Session.objects.filter(pk=expired.session.session_key).update(expire_date=now)
    UserSession.objects.filter(session_key=idle.session.session_key).update(
        last_seen_at=now - timedelta(hours=72)
    )
    session = of_before.session
    session[HASH_SESSION_KEY] = "of an earlier password"
    session.save()
    [shown] = owner_client.get(SESSIONS).context["sessions"]
    assert shown.session_key == owner_client.session.session_key
    assert owner_client.get(PROFILE).context["sessions"] == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_noting_the_use_waits_for_no_other_request(owner_client):
    owner_client.get(PROFILE)
    other = connection.copy()
    with connection.cursor() as ours, other.cursor() as theirs:
        ours.execute("SET lock_timeout = '1s'")
        theirs.execute("BEGIN")
        theirs.execute("SELECT id FROM usersessions_usersession FOR UPDATE")
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            answer = owner_client.get(PROFILE)
        theirs.execute("ROLLBACK")
        ours.execute("RESET lock_timeout")
    other.close()
    assert answer.status_code == 200


def test_deactivation_ends_sessions_for_good(owner, operator):
    client = sign_in(Client(), owner)
    client.get(PROFILE)
    for is_active in (False, True):
        edit_user(
            user=owner, changes={"is_active": is_active}, actor=operator.as_actor(), reason=WHY
        )
    assert client.get(PROFILE).status_code == 302
    assert not UserSession.objects.filter(user=owner).exists()


def test_an_operator_ends_the_sessions_of_a_person_who_hears_which(owner, operator_client, contoso):
    client = sign_in(Client(headers={"user-agent": "X11; Linux; Firefox/140"}), owner)
    client.get(PROFILE)
    assert results(do(operator_client, [owner], "end_sessions")) == [
        ("Owner", "owner@contoso.example is signed out everywhere.")
    ]
    assert client.get(PROFILE).status_code == 302
    [mail] = mails()
    assert (mail.to, "Ended: Firefox on Linux at 127.0.0.1" in mail.body) == ([owner.email], True)
    row = LogEntry.objects.get(tenant_id=contoso.pk)
    assert (row.action, row.reason) == ("person.sessions_ended", WHY)


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/email/", "/accounts/2fa/"])
def test_pages_about_oneself_are_kept_in_no_cache(path, owner_client):
    assert owner_client.get(path)["Cache-Control"] == "no-store"
