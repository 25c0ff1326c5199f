"""The figures against rows that were counted by hand, how they are kept, and their metrics."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from licenses.figures import snapshot
from licenses.models import CheckCount, Figures, KeyState, LicenseKey, SigningKey
from portal.core.actors import SYSTEM
from portal.mail.models import Outbox
from portal.webhooks.models import Endpoint
from portal.webhooks.telling import store
from subscriptions.flows import suspend_resume_end
from subscriptions.models import Plan, State
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.metrics import samples

NOW = timezone.now().replace(minute=30, second=0, microsecond=0)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TOKEN = "a token for the tests of the metrics"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def count(license: Any, hour: datetime, result: str, number: int) -> None:
    CheckCount.objects.create(
        tenant=license.tenant,
        license_key=license.keys.first(),
        hour=hour,
        result=result,
        count=number,
        last_at=hour,
    )


@pytest.fixture
def business(signing_key: SigningKey) -> snapshot.Numbers:
    """Return the numbers of a small business, in which everything happens once at least."""
    old, recent = NOW - 90 * DAY, NOW - 5 * DAY
    for state in (State.ACTIVE, State.ACTIVE, State.SUSPENDED):
        make_subscription(plan="smb-monthly", state=state, created_at=old)
    make_subscription(plan="micro-yearly", created_at=recent)
    make_subscription(plan="micro-yearly", state=State.PENDING, created_at=recent)
    make_subscription(plan="micro-yearly", ends_at=NOW - DAY, created_at=old)
    make_subscription(plan="micro-yearly", ends_at=NOW + DAY, created_at=old)
    make_subscription(plan="micro-yearly", ends_at=NOW - 40 * DAY, starts_at=old, created_at=old)
    ended = make_subscription(created_at=old)
    suspend_resume_end.end_subscription(
        subscription=ended, actor=SYSTEM, reason="Asked for", now=NOW - 2 * DAY
    )
    long_ago = make_subscription(created_at=old)
    suspend_resume_end.end_subscription(
        subscription=long_ago, actor=SYSTEM, reason="Asked for", now=NOW - 50 * DAY
    )

    of = make_subscription(state=State.SUSPENDED, created_at=old)
    license = make_license(subscription=of, expires_at=NOW + 3 * DAY, issued_at=NOW - 20 * HOUR)
    make_key(license=license, state=KeyState.REPLACED)
    make_key(license=license, state=KeyState.DELETED)
    make_key(license=license, state=KeyState.SUPERSEDED, expires_at=NOW + 3 * DAY)
    of = make_subscription(state=State.SUSPENDED, created_at=old)
    gone = make_license(subscription=of, expires_at=NOW - HOUR, issued_at=NOW - 20 * HOUR)
    make_key(license=gone, state=KeyState.SUPERSEDED, accepted_until=NOW - HOUR)
    make_key(license=gone, state=KeyState.REPLACED, revoked_at=NOW)
    of = make_subscription(state=State.SUSPENDED, created_at=old)
    later = make_license(subscription=of, expires_at=NOW + 80 * DAY, issued_at=NOW - 20 * HOUR)
    later.keys.filter(slot="primary").update(revoked_at=NOW)

    present = NOW.replace(minute=0)
    count(license, present, "valid", 7)
    count(license, present, "expired", 2)
    count(license, present - HOUR, "valid", 5)
    count(license, present - 23 * HOUR, "superseded", 1)
    count(license, present - 24 * HOUR, "valid", 1000)
    Outbox.objects.create(to="a@b.example", subject="S", text="T", created_at=NOW - 2 * HOUR)
    Outbox.objects.create(to="a@b.example", subject="S", text="T", created_at=NOW - HOUR)
    Outbox.objects.create(to="a@b.example", subject="S", text="T", sent_at=NOW)
    for failures, waited in ((0, 1), (0, 2), (1, 3)):
        url, at = f"https://{waited}.example/", NOW - waited * HOUR
        endpoint = Endpoint.objects.create(url=url, failures=failures)
        store([endpoint], kind="key.reset", at=at, data={}, tenant_id=None)
    return snapshot.count(now=NOW)


def test_the_figures_are_what_one_counts_by_hand(business, signing_key):
    assert [(plan["code"], plan["count"]) for plan in business["active"]] == [
        ("micro-yearly", 2),
        ("smb-monthly", 2),
    ]
    assert (business["new"], business["ended"]) == (2, 2)
    assert business["keys"] == {
        "valid": 3,
        "superseded": 1,
        "expired": 2,
        "revoked": 2,
        "replaced": 2,
        "deleted": 1,
        "withdrawn": 0,
    }
    assert sum(business["keys"].values()) == LicenseKey.objects.count()
    assert [week["count"] for week in business["expiring"]] == [2, *[0] * 10, 1]
    by_hour = list(business["checks"].values())
    assert by_hour == [
        {"superseded": 1},
        *[{}] * 21,
        {"valid": 5},
        {"valid": 7, "expired": 2},
    ]
    oldest = (NOW - 2 * HOUR).isoformat()
    assert (business["pending_mails"], business["oldest_mail"]) == (2, oldest)
    assert (business["pending_webhooks"], business["oldest_webhook"]) == (2, oldest)
    assert business["signing_keys"] == {signing_key.kid: {"signed": 11, "living": 4}}


def test_license_keys_of_a_disabled_signing_key_do_not_live(business, signing_key):
    SigningKey.objects.update(state="disabled")
    counted = snapshot.count(now=NOW)
    assert (counted["keys"]["valid"], counted["keys"]["superseded"]) == (0, 0)
    assert counted["keys"]["withdrawn"] == 4
    assert counted["signing_keys"] == {signing_key.kid: {"signed": 11, "living": 0}}


# Kept


def test_figures_are_counted_once_a_minute_at_most(signing_key):
    first = snapshot.current(now=NOW)
    make_subscription()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert snapshot.current(now=NOW + timedelta(seconds=59)).numbers == first.numbers
    assert len(captured) == 1
    after = snapshot.current(now=NOW + timedelta(seconds=60))
    assert sum(plan["count"] for plan in after.numbers["active"]) == 1
    assert Figures.objects.count() == 1


def test_while_one_process_counts_the_others_show_what_was_counted(signing_key):
    first = snapshot.current(now=NOW)
    cache.add(snapshot.LOCK, 1)
    assert snapshot.current(now=NOW + HOUR).taken_at == first.taken_at
    cache.delete(snapshot.LOCK)
    assert snapshot.current(now=NOW + HOUR).taken_at == NOW + HOUR


def test_hours_that_are_over_are_not_counted_again(signing_key):
    license, present = make_license(), NOW.replace(minute=0)
    count(license, present - 3 * HOUR, "valid", 3)
    count(license, present, "valid", 1)
    snapshot.refresh(now=NOW)
    CheckCount.objects.update(count=50)
    checks = snapshot.refresh(now=NOW + HOUR).numbers["checks"]
    assert checks[(present - 3 * HOUR).isoformat()] == {"valid": 3}
    assert checks[present.isoformat()] == {"valid": 50}


def test_an_hour_that_was_counted_before_its_end_is_counted_again(signing_key):
    license, present = make_license(), NOW.replace(minute=0)
    count(license, present, "valid", 1)
    snapshot.refresh(now=NOW)
    CheckCount.objects.update(count=50)
    checks = snapshot.refresh(now=NOW + 10 * HOUR).numbers["checks"]
    assert checks[present.isoformat()] == {"valid": 50}


def test_a_timer_can_keep_them_fresh(signing_key):
    out = StringIO()
    with time_machine.travel(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), tick=False):
        call_command("refresh_figures", stdout=out)
    assert out.getvalue() == "Figures as of 2026-05-04 03:02:01 UTC.\n"


# Metrics


def test_metrics_are_the_same_numbers(client, settings, business, signing_key):
    settings.METRICS_TOKEN = TOKEN
    with time_machine.travel(NOW, tick=False):
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    found = samples(answer.content.decode())
    short = {name.removeprefix("license_portal_"): value for name, value in found.items()}
    expected = {
        'subscriptions_active{plan="micro-yearly"}': 2,
        "subscriptions_new": 2,
        "subscriptions_ended": 2,
        'license_keys{state="valid"}': 3,
        'license_keys_expiring{week="1"}': 2,
        'license_keys_expiring{week="12"}': 1,
        'checks{result="valid"}': 12,
        'checks_by_hour{hours_ago="0",passes="false"}': 2,
        'checks_by_hour{hours_ago="0",passes="true"}': 7,
        'checks_by_hour{hours_ago="23",passes="true"}': 1,
        "mails_pending": 2,
        "mails_oldest_pending_seconds": 7200,
        "webhooks_pending": 2,
        "webhooks_oldest_pending_seconds": 7200,
        "figures_timestamp_seconds": NOW.timestamp(),
        f'signing_key_license_keys_living{{kid="{signing_key.kid}"}}': 4,
        "signing_key_age_seconds": round((NOW - signing_key.activated_at).total_seconds(), 3),
    }
    assert {name: short[name] for name in expected} == expected
    tenants = {str(tenant) for key in LicenseKey.objects.all() for tenant in (key.tenant_id,)}
    assert [tenant for tenant in tenants if tenant in answer.content.decode()] == []


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_without_the_token_there_are_no_metrics(header, client, settings, db):
    settings.METRICS_TOKEN = TOKEN
    headers = {} if header is None else {"Authorization": header}
    assert client.get("/metrics", headers=headers).status_code == 404


@pytest.mark.parametrize("header", ["Bearer", "Bearer "])
def test_a_portal_without_a_token_has_no_metrics(header, client, settings, db):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": header}).status_code == 404


# The start page


def test_the_start_page_shows_the_figures_and_every_link_leads_to_a_list(
    operator_client, business, signing_key
):
    snapshot.refresh()
    html = operator_client.get("/admin/").content.decode()
    start = html.index('<section class="stack figures"')
    shown = html[start : html.rindex("</section>")]
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', shown)}
    headlines, bars, columns, recent = 6, 2 + 6 + 3, 12 + 24, 2
    [ends] = [link for link in links if "/customer/#subscription-" in link]
    assert len(links) == headlines + bars + columns + recent + len([ends])
    answers = {link: operator_client.get(link) for link in links}
    assert {link: a.status_code for link, a in answers.items() if a.status_code != 200} == {}
    plan = Plan.objects.get(code="smb-monthly")
    [active] = [link for link in links if link.endswith(f"plan__id__exact={plan.pk}")]
    assert answers[active].context["cl"].result_count == 2
    by_state = {
        state: answers[link].context["cl"].result_count
        for link in links
        for state in re.findall(r"\?needs=(\w+)$", link)
        if state != "expiring"
    }
    assert by_state == {
        "valid": 3,
        "superseded": 1,
        "expired": 2,
        "revoked": 2,
        "replaced": 2,
        "deleted": 1,
    }
    for link, answer in answers.items():
        if "cl" in (answer.context or {}):
            told = [sentence for sentence, _ in answer.context["cl"].told()]
            raw = re.compile(r"\d{4}-\d\d-\d\dT|\b(True|False)\b|\w+,\w+|\w+__\w+|\S{40}")
            assert [each for each in told if raw.search(each)] == [], link
            shown = re.sub(r"<[^>]*>", " ", answer.content.decode())
            assert not re.search(r"\d{4}-\d\d-\d\dT", shown), link


def test_the_start_page_says_when_no_signing_key_is_active(operator_client):
    shown = operator_client.get("/admin/").content.decode()
    assert shown.count("No license keys can be generated or reset.") == 1
