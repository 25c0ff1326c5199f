"""The ground that the other tests stand on: if this fails, do not believe the rest."""

import os
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection
from django.db.utils import DatabaseError
from django.utils import timezone
from playwright.sync_api import Error as PlaywrightError

from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from subscriptions.models import Plan
from tests.support.accounts import stale
from tests.support.browser import axe
from tests.support.races import race


def test_data_folder_is_the_runs_own():
    assert settings.DATA_DIR.parent == Path(os.environ["PORTAL_TESTS_ROOT"])


@pytest.mark.sqlite
def test_sqlite_is_a_file_with_a_write_ahead_log(db):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)
    assert Path(connection.settings_dict["NAME"]).parent == settings.DATA_DIR


@pytest.mark.postgres
def test_postgres_is_real(db):
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        assert int(cursor.fetchone()[0]) >= 150_000


@pytest.mark.parametrize("turn", [1, 2])
def test_flush_leaves_what_code_relies_on(turn, transactional_db):
    assert [*ContentType.objects.order_by("pk").values_list("pk", flat=True)] == [
        *range(1, ContentType.objects.count() + 1)
    ]
    assert Plan.objects.exists()
    assert not Tenant.objects.exists()
    assert not LogEntry.objects.exists()
    Tenant.objects.create(name="Contoso", country="USA")
    LogEntry.objects.create(seq=1, at="2026-01-01T00:00Z", actor_kind="system", action="test")
    with pytest.raises(DatabaseError, match="append-only|permission denied"):
        LogEntry.objects.update(action="changed")


def test_race_returns_what_each_thread_returned_or_raised(transactional_db):
    def seize() -> str:
        Plan.objects.create(
            code="race", name="Race", edition="commercial", urn="urn:x", billing_period="yearly"
        )
        return "won"

    outcomes = race(seize, 4)
    assert outcomes.count("won") == 1
    assert sum(isinstance(outcome, IntegrityError) for outcome in outcomes) == 3


def test_live_portal_sees_the_database_of_the_test(live_portal, contoso, owner, client_for):
    assert live_portal.process.poll() is None
    assert connection.vendor in live_portal.environment["DATABASE_URL"]


def test_another_portal_can_be_killed(another_portal):
    portal = another_portal()
    portal.stop(how=signal.SIGKILL)
    with pytest.raises(OSError, match="refused|reset"):
        urlopen(f"{portal.url}/healthz/live", timeout=5)
    portal.start()


def test_sign_in_is_a_proof_of_that_time(operator, client_for):
    client = client_for(operator, at=stale())
    records = client.session[AUTHENTICATION_METHODS_SESSION_KEY]
    assert [record["method"] for record in records] == ["password", "mfa"]
    assert {round(timezone.now().timestamp() - record["at"]) // 60 for record in records} == {16}
    assert client.session["_auth_user_id"] == str(operator.pk)


@pytest.mark.parametrize("turn", [1, 2])
def test_signing_key_is_stored_for_each_test(turn, signing_key):
    assert signing_key.bits == 2048
    assert signing_key.state == "active"
    assert type(signing_key).objects.get() == signing_key


@pytest.mark.browser
class TestBrowser:
    def test_sees_a_clean_page(self, page):
        page.goto("/healthz/live")
        assert page.text_content("body") == '{"status": "ok"}'

    def test_reports_an_error_of_the_page(self, page, watch):
        page.goto("/healthz/live")
        page.evaluate("console.error('it broke')")
        assert [fault[:17] for fault in watch.faults] == ["console: it broke"]
        watch.faults.clear()

    def test_reports_a_foreign_host(self, page, watch):
        with pytest.raises(PlaywrightError, match="ERR_NAME_NOT_RESOLVED"):
            page.goto("http://foreign.example/")
        assert watch.faults == ["request to a foreign host: http://foreign.example/"]
        watch.faults.clear()

    def test_reports_what_the_content_security_policy_stops(self, page, watch):
        page.goto("/healthz/live")
        page.evaluate("document.body.setAttribute('style', 'color: red')")
        assert [fault[:8] for fault in watch.faults] == ["console:"]
        assert "Content Security Policy" in watch.faults.pop()

    def test_signs_in(self, open_page, owner, live_portal):
        cookies = open_page(user=owner).context.cookies(live_portal.url)
        assert [cookie["name"] for cookie in cookies] == [settings.SESSION_COOKIE_NAME]

    def test_axe_finds_what_is_wrong(self, page):
        page.goto("/healthz/live")
        with pytest.raises(pytest.fail.Exception, match="html-has-lang"):
            axe(page)

    @pytest.mark.parametrize("page", [{"javascript": False, "width": 320}], indirect=True)
    def test_reads_pages_without_javascript(self, page):
        page.goto("/healthz/live")
        assert page.viewport_size == {"width": 320, "height": 640}
