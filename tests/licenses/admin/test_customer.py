"""The page that shows everything of a customer, what a terminal hears, and the search to both."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from licenses.admin import searching
from licenses.admin.customer import MOST
from licenses.figures.needs import needs
from licenses.flows.reset import Overlap, reset_key
from licenses.flows.revoke import revoke_key
from licenses.models import CheckCount, KeyState, Slot
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.mail.models import Outbox
from portal.operators.flows.recovery import replace_owner
from portal.tenants.models import Invitation, Role, Tenant
from portal.webhooks.models import Endpoint
from subscriptions.flows import suspend_resume_end
from subscriptions.models import State, Subscription
from tests.support.accounts import make_member
from tests.support.database import plan_of
from tests.support.factories import make_license, make_subscription
from tests.support.operator_actions import WHY, ask, do, operator_of

SEARCH = "/admin/search/"
DAY = timedelta(days=1)


@pytest.fixture
def license(contoso, owner, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso, name="Shop analytics"))


@pytest.fixture
def primary(license):
    return license.keys.get(slot="primary")


def page_of(tenant):
    return reverse("admin:portal_tenant_customer", args=[tenant.pk])


def text_of(response):
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


# A customer on one page


def test_one_page_shows_all_that_support_asks_for(
    operator_client, operator, contoso, owner, license, primary
):
    now = timezone.now()
    suspend_resume_end.suspend_subscription(
        subscription=make_subscription(tenant=contoso, name="Build farm"),
        actor=operator.as_actor(""),
        reason="Invoice 7 is overdue",
    )
    Invitation.objects.create(
        tenant=contoso, email="new@contoso.example", role=Role.VIEWER, invited_by=owner
    )
    Outbox.objects.create(
        tenant_id=contoso.pk, to="new@contoso.example", attempts=1, given_up_at=now, text=""
    )
    replace_owner(
        tenant=contoso, email="next@x.example", actor=operator.as_actor(""), reason="Left"
    )
    Outbox.objects.filter(to="next@x.example").update(attempts=3, last_error="550 unknown")
    for result, count in (("valid", 40), ("expired", 2)):
        CheckCount.objects.create(
            tenant=contoso,
            license_key=primary,
            hour=now - 2 * DAY,
            result=result,
            count=count,
            last_at=now,
        )
    make_subscription(tenant=contoso, name="Ends soon", ends_at=now + 4 * DAY + DAY / 24)
    primary.license.keys.update(issued_at=now - 9 * DAY, expires_at=now - DAY)
    CheckCount.objects.create(
        tenant=contoso, license_key=primary, hour=now, result="expired", count=5, last_at=now
    )
    Invitation.objects.create(
        tenant=contoso,
        email="busy@contoso.example",
        role=Role.VIEWER,
        invited_by=owner,
        token_sha256="b" * 64,
    )
    Outbox.objects.create(
        tenant_id=contoso.pk,
        to="busy@contoso.example",
        attempts=1,
        last_error="421 busy",
        send_after=datetime(2026, 11, 28, 12, 38, tzinfo=UTC),
        text="",
    )
    response = operator_client.get(page_of(contoso))
    shown = text_of(response)
    for part in (
        '<span class="badge" data-tone="bad">Suspended</span>',
        '<span class="badge" data-tone="bad">All keys expired</span>',
        "Ends in 5 days, ",
        "Expired: 5 times since ",
        "Last check less than a minute ago, 5 refused today: Expired",
        "The mail could not be delivered so far: 421 busy. Next attempt",
        "most often the address does not exist",
        "Revoke makes the mailed link useless",
        "Invoice 7 is overdue",
        "Shop analytics",
        "owner@contoso.example",
        "new@contoso.example",
        "Replace the last owner: Contoso with next@x.example",
        "3 attempts: 550 unknown",
        "47 checks in the last 30 days, 7 of them refused.",
        "Invitation not delivered",
        '>Expired</a></th> <td class="number">7</td>',
        "Subscription suspended: Build farm",
    ):
        assert part in shown, part
    lines = [str(line.subscription) for line in response.context["subscriptions"]]
    assert lines.index("Build farm") < lines.index("Ends soon")
    assert shown.index("members-title") < shown.index("log-title")
    assert primary.token not in shown


def test_a_webhook_that_the_portal_switched_off_is_told_on_its_customers_page_alone(
    operator_client, contoso, owner
):
    fabrikam = Tenant.objects.create(name="Fabrikam", country="DEU")
    off = {"secret": "x", "off_at": timezone.now()}
    Endpoint.objects.create(tenant=contoso, url="https://a.example/in", off_error="Gone.", **off)
    Endpoint.objects.create(tenant=contoso, url="https://by-its-owner.example/in", **off)
    Endpoint.objects.create(tenant=None, url="https://vendor.example/in", off_error="Gone.", **off)
    told = [
        (need.kind, need.name, need.about)
        for tenant in (contoso, fabrikam)
        for need in operator_client.get(page_of(tenant)).context["troubles"]
    ]
    assert told == [
        (
            "Webhook",
            "a.example",
            (
                "Switched off: Gone. Owners and managers of the tenant can switch it on once it "
                "answers."
            ),
        )
    ]


def test_the_list_of_tenants_tells_what_most_needs_somebody(operator_client, contoso, primary):
    now, listed = timezone.now(), reverse("admin:portal_tenant_changelist")
    assert "Good" in text_of(operator_client.get(listed))
    keys = primary.license.keys
    keys.update(issued_at=now - 9 * DAY, expires_at=now + 3 * DAY)
    assert "Keys expire this week" in text_of(operator_client.get(listed))
    CheckCount.objects.create(
        tenant=contoso, license_key=primary, hour=now, result="revoked", count=1200, last_at=now
    )
    assert "1,200 refused in 24 hours" in text_of(operator_client.get(listed))
    keys.update(expires_at=now - DAY)
    assert "Keys expired" in text_of(operator_client.get(listed))


def test_what_needs_somebody_comes_first_however_old_it_is(operator_client, contoso, primary):
    for _ in range(MOST):
        make_subscription(tenant=contoso)
    primary.license.keys.update(expires_at=timezone.now() + 3 * DAY)
    first, *_ = operator_client.get(page_of(contoso)).context["subscriptions"]
    assert first.subscription == primary.license.subscription


@pytest.mark.parametrize(
    ("group", "offered"),
    [
        ("support", {"start_support_view"}),
        ("sales", {"suspend", "end", "change_plan", "extend"}),
        ("security", {"replace_owner", "end_sessions", "revoke"}),
    ],
)
def test_operators_are_offered_what_they_may_do(group, offered, contoso, license):
    response = operator_of(group).get(page_of(contoso))
    lines = response.context["subscriptions"]
    offers = [response.context["offer"], lines[0].offer, response.context["members"][0][1]]
    offers += [line.offer for line in lines[0].keys]
    names = {action.name for offer in offers for action, _ in offer.actions}
    assert names - {"activate", "resume"} == offered


@pytest.mark.parametrize(("name", "pending"), [("send_again", 1), ("revoke", 0)])
def test_an_invitation_is_sent_again_or_revoked_for_a_reason(name, pending, contoso, owner):
    invitation = Invitation.objects.create(
        tenant=contoso, email="new@contoso.example", role=Role.VIEWER, invited_by=owner
    )
    client = operator_of("security")
    [(_, offer, _)] = client.get(page_of(contoso)).context["invitations"]
    assert [action.name for action, _ in offer.actions] == ["send_again", "revoke"]
    answer = do(client, [invitation], name)
    assert answer.context["leads_on"] == [("Back to Contoso", page_of(contoso))]
    invitation.refresh_from_db()
    assert invitation.revoked_at is not None
    assert contoso.invitations.pending().count() == pending
    assert Outbox.objects.filter(to=invitation.email).count() == pending
    assert LogEntry.objects.for_tenant(contoso.pk)[0].reason
    assert do(client, [invitation], name).context["results"][0].refused == (name == "send_again")


def test_mail_that_failed_is_sent_again_for_a_reason(contoso, owner):
    later = timezone.now() + DAY
    mail = Outbox.objects.create(
        tenant_id=contoso.pk, to=owner.email, subject="News", attempts=2, send_after=later
    )
    client = operator_of("support")
    [(_, offer)] = client.get(page_of(contoso)).context["mails"]
    assert [action.name for action, _ in offer.actions] == ["send_again"]
    assert not do(client, [mail], "send_again").context["results"][0].refused
    assert list(Outbox.objects.due(timezone.now())) == [mail]
    row = LogEntry.objects.for_tenant(contoso.pk)[0]
    assert (row.describe(), row.reason) == ("Mail sent again", WHY)
    Outbox.objects.update(given_up_at=timezone.now(), text="")
    [(_, offer)] = client.get(page_of(contoso)).context["mails"]
    assert offer.actions == []
    assert do(client, [mail], "send_again").context["results"][0].refused


def test_a_confirmation_says_what_stops_and_who_is_told(operator_client, contoso, owner, primary):
    CheckCount.objects.create(
        tenant=contoso,
        license_key=primary,
        hour=timezone.now(),
        result="valid",
        count=3,
        last_at=timezone.now(),
    )
    for row, name in ((primary.license.subscription, "suspend"), (primary, "revoke")):
        shown = text_of(ask(operator_client, [row], name))
        assert "3 checks passed in the last 24 hours" in shown
        assert f"A mail with the reason goes to:</strong> {owner.email}" in shown


@pytest.mark.database
def test_checks_are_summed_by_day_and_result(operator_client, contoso, primary):
    noon = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - 3 * DAY
    for hours, result in ((0, "valid"), (1, "valid"), (2, "expired"), (24, "valid")):
        hour = noon + timedelta(hours=hours)
        CheckCount.objects.create(
            tenant=contoso, license_key=primary, hour=hour, result=result, count=5, last_at=hour
        )
    url = reverse("admin:licenses_checkcount_changelist")

    def listed(**asked):
        rows = operator_client.get(url, asked).context["cl"].result_list
        return [(row.hour - noon, row.result, row.checked) for row in rows]

    one = timedelta(hours=1)
    assert listed() == [(DAY, "valid", 5), (2 * one, "expired", 5), (one, "valid", 10)]
    since = (noon + one).isoformat()
    assert listed(hour__gte=since, result="valid") == [(DAY, "valid", 5), (one, "valid", 5)]
    assert listed(hour__exact=noon.isoformat()) == [(0 * one, "valid", 5)]


def test_the_list_of_subscriptions_shows_how_their_keys_are(operator_client, contoso, primary):
    listed = reverse("admin:subscriptions_subscription_changelist")
    assert ">Valid</span>" in text_of(operator_client.get(listed))
    keys = primary.license.keys
    keys.update(issued_at=timezone.now() - 9 * DAY, expires_at=timezone.now() - DAY)
    assert ">Expired</span>" in text_of(operator_client.get(listed, {"keys": "expired"}))
    assert "Nothing is found" in text_of(operator_client.get(listed, {"keys": "none"}))


def test_only_a_second_factor_that_is_there_can_be_removed(contoso, owner):
    make_member(tenant=contoso, role=Role.VIEWER, email="two@contoso.example", two_factor=True)
    members = operator_of("security").get(page_of(contoso)).context["members"]
    offered = [{action.name for action, _ in offer.actions} for _, offer in members]
    assert offered == [{"end_sessions"}, {"end_sessions", "remove_second_factor"}]


def test_the_record_of_a_subscription_tells_its_keys_and_what_it_needs(
    operator, operator_client, contoso, owner, license
):
    now = timezone.now()
    fine, bare = license.subscription, make_subscription(tenant=contoso)
    pending = make_subscription(tenant=contoso, state=State.PENDING)
    ended = make_subscription(tenant=contoso, state=State.ENDED)
    lapsed = make_license(subscription=make_subscription(tenant=contoso, ends_at=now + 3 * DAY))
    lapsed.keys.update(issued_at=now - 9 * DAY, expires_at=now - DAY)
    stopped = make_license(subscription=make_subscription(tenant=contoso)).subscription
    suspend_resume_end.suspend_subscription(
        subscription=stopped, actor=operator.as_actor(""), reason="Invoice 7 is overdue"
    )
    for subscription, needed, keys in (
        (fine, [], 2),
        (bare, ["License keys, which an owner or manager generates."], 0),
        (pending, ["Its activation, by an owner or manager, or here."], 0),
        (ended, [], 0),
        (lapsed.subscription, ["All keys expired: The last one expired", "Ends: Ends in 3"], 2),
        (stopped, ["Suspended: Since", "Invoice 7 is overdue"], 2),
    ):
        record = reverse("admin:subscriptions_subscription_change", args=[subscription.pk])
        told = {name: str(html) for name, _, html in operator_client.get(record).context["facts"]}
        assert told["license_keys"].count("expires") == keys
        assert (keys == 0) == (told["license_keys"] == "None")
        assert ("need" in told) == bool(needed)
        for part in (
            [*needed, f'{page_of(contoso)}#subscription-{subscription.pk}"'] if needed else []
        ):
            assert part in told["need"]


def test_sales_adds_a_subscription_to_the_customer_without_a_script(contoso):
    client = operator_of("sales")
    form = client.get(client.get(page_of(contoso)).context["add"])
    assert re.search(rf'<option value="{contoso.pk}" selected[^>]*>Contoso', text_of(form))


@pytest.mark.parametrize("rows", [1, 8])
def test_the_page_costs_the_same_with_more_subscriptions(rows, operator_client, contoso, license):
    for _ in range(rows - 1):
        make_license(subscription=make_subscription(tenant=contoso))
    operator_client.get(page_of(contoso))
    with CaptureQueriesContext(connection) as captured:
        assert operator_client.get(page_of(contoso)).status_code == 200
    assert len(captured) <= 20


@pytest.mark.parametrize("pk", ["6f1f7f0a-5d0c-4a51-8a5e-1c1c5a3b2d10", "x", "1"])
def test_a_customer_that_is_not_there_is_not_found(pk, operator_client):
    assert operator_client.get(f"/admin/portal/tenant/{pk}/customer/").status_code == 404


def test_an_action_leads_back_to_its_customer(operator_client, contoso, license):
    response = do(operator_client, [license.subscription], "suspend")
    assert response.context["leads_on"] == [("Back to Contoso", page_of(contoso))]
    assert Subscription.objects.get().state == State.SUSPENDED


# What a terminal hears


def revoke(key):
    revoke_key(key=key, actor=SYSTEM, reason="Leaked")


def delete(key):
    type(key).objects.filter(pk=key.pk).update(
        state=KeyState.DELETED, deleted_at=timezone.now(), token=None
    )


def suspend(key):
    suspend_resume_end.suspend_subscription(
        subscription=key.license.subscription, actor=SYSTEM, reason="Unpaid"
    )


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda key: None, "valid"),
        (revoke, "revoked"),
        (suspend, "subscription_suspended"),
        (delete, "deleted"),
    ],
    ids=["valid", "revoked", "suspended", "deleted"],
)
def test_the_page_of_a_found_key_says_what_a_terminal_hears(
    change, result, operator_client, primary
):
    change(primary)
    address = reverse("admin:licenses_licensekey_check", args=[primary.pk])
    rows = LogEntry.objects.count()
    response = operator_client.get(address)
    assert response.context["verdict"].result == result
    starts = "starts." if result == "valid" else "does not start."
    shown = text_of(response)
    assert f"A terminal with this key {starts}" in shown
    assert (". Refused since" in shown) == (result != "valid")
    assert "Ask the vendor" not in shown  # who reads it
    offered = [action.name for action, _ in response.context["remedy"]["actions"]]
    assert offered == (["resume"] if result == "subscription_suspended" else [])
    assert {"revoked": "System revoked it: Leaked", "subscription_suspended": "Unpaid"}.get(
        result, ""
    ) in shown
    assert LogEntry.objects.count() == rows


@pytest.mark.parametrize("overlap", [Overlap.NOW, Overlap.WEEK])
def test_of_a_replaced_key_the_verdict_comes_before_the_key_that_took_its_place(
    overlap, operator_client, owner, primary
):
    new = reset_key(
        license=primary.license,
        slot=Slot.PRIMARY,
        actor=owner.as_actor(""),
        overlap=overlap,
        expected_jti=primary.jti,
    )
    address = reverse("admin:licenses_licensekey_check", args=[primary.pk])
    response = operator_client.get(address)
    account, shown = response.context["account"], text_of(response)
    assert account.successor == new
    assert account.why.startswith(f"{owner.name} replaced it by a reset of the primary key on")
    assert account.todo == (
        "Download the primary key of Shop analytics and install it in place of this one."
    )
    verdict = "does not start." if overlap == Overlap.NOW else "starts, until"
    assert shown.index(f"A terminal with this key {verdict}") < shown.index("In the slots of")


# The search over everything


def test_everything_that_customers_quote_leads_to_the_customer(
    operator_client, contoso, owner, license, primary
):
    make_license()  # somebody else's
    hears = reverse("admin:licenses_licensekey_check", args=[primary.pk])
    on_page = page_of(contoso), f"{page_of(contoso)}#subscription-{license.subscription_id}", hears
    for quoted, place in (
        (contoso.pk, 0),
        (license.pk, 1),
        (license.subscription_id, 1),
        (license.authorized_application_id, 1),
        (primary.jti, 2),
        (owner.pk, 0),
    ):
        answer = operator_client.get(SEARCH, {"q": str(quoted)})
        assert answer.headers["Location"] == on_page[place], quoted
    named = "Some Body <OWNER@contoso.example>"
    begins = str(primary.jti)[:8], str(license.subscription_id)[:13].upper()
    words = "ntos", "analytics shop", "shop CONTO", "example owner"
    for quoted in (
        "OWNER@contoso.example",
        "owner@con",
        "@contoso.example",
        named,
        *words,
        *begins,
    ):
        hits = operator_client.get(SEARCH, {"q": quoted}).context["hits"]
        assert {tenant for hit in hits for tenant in hit.customers} == {contoso}, quoted


def test_what_is_typed_becomes_an_address_and_a_pasted_key_never_does(operator_client, primary):
    typed = operator_client.post(SEARCH, {"q": "shop"})
    assert typed.headers["Location"] == f"{SEARCH}?q=shop"
    pasted = operator_client.post(SEARCH, {"q": f" {primary.token}\n"})
    found = reverse("admin:licenses_licensekey_check", args=[primary.pk])
    assert pasted.headers["Location"] == found


@pytest.mark.parametrize("term", ["", " ", "x" * 501, "a\x00b", "%", "@", "a@", "nobody here"])
def test_a_search_that_finds_nothing_says_so(term, operator_client, license):
    assert operator_client.get(SEARCH, {"q": term}).context["hits"] == []


def scans(statements):
    """Return the plans that read a whole table, where the database has no other way."""
    marks = {"sqlite": r"SCAN \w+(?! USING)\b", "postgresql": "Seq Scan"}
    plans = [plan_of(sql["sql"]) for sql in statements]
    return [plan for plan in plans if re.search(marks[connection.vendor], plan)]


@pytest.fixture
def _index_or_nothing(db):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")


@pytest.mark.database
@pytest.mark.usefixtures("_index_or_nothing")
@pytest.mark.parametrize(
    "term", ["6f1f7f0a-5d0c-4a51-8a5e-1c1c5a3b2d10", "jane@contoso.example", "k" * 43]
)
def test_identifiers_and_addresses_are_looked_up_by_an_index(term, operator):
    request = RequestFactory().get(SEARCH)
    request.user = operator
    with CaptureQueriesContext(connection) as captured:
        list(searching.found(term, request))
    statements = [sql for sql in captured if "portal_invitation" not in sql["sql"]]
    assert statements
    assert scans(statements) == []


@pytest.mark.database
@pytest.mark.usefixtures("_index_or_nothing")
def test_what_needs_somebody_is_read_by_indexes(signing_key):
    with CaptureQueriesContext(connection) as captured:
        assert needs(signing_key, timezone.now()) == []
    few = "licenses_signingkey"  # as many as there were rotations
    assert [plan for plan in scans(captured) if few not in plan] == []


# What needs somebody today


def test_the_start_page_tells_what_needs_somebody(operator, contoso, owner, signing_key):
    now = timezone.now().replace(microsecond=0)
    fabrikam = Tenant.objects.create(name="Fabrikam", country="DEU")
    ending = make_subscription(tenant=contoso, name="Build farm", ends_at=now + 3 * DAY)
    make_subscription(tenant=contoso, ends_at=now + 8 * DAY)
    key = make_license(subscription=ending).keys.get(slot="primary")
    for result in ("valid", "replaced", "expired"):
        CheckCount.objects.create(
            tenant=contoso, license_key=key, hour=now, result=result, count=9, last_at=now
        )
    other = make_license(subscription=make_subscription(tenant=contoso)).keys.get(slot="primary")
    for result, count in (("revoked", 1), ("valid", 1)):
        CheckCount.objects.create(
            tenant=contoso, license_key=other, hour=now, result=result, count=count, last_at=now
        )
    lapsed = make_subscription(tenant=fabrikam, name="Shop analytics")
    make_license(subscription=lapsed, issued_at=now - DAY / 2, expires_at=now - DAY / 4)
    replace_owner(tenant=contoso, email="n@x.example", actor=operator.as_actor(""), reason="Left")
    Outbox.objects.filter(to="n@x.example").update(attempts=1, last_error="550 unknown")
    broken = {"secret": "x", "off_at": now, "off_error": "Gone"}
    Endpoint.objects.create(url="https://vendor.example/", **broken)
    Endpoint.objects.create(url="https://theirs.example/", tenant=contoso, **broken)
    Endpoint.objects.create(url="https://fabrikam.example/", tenant=fabrikam, **broken)
    told = [(need.kind, need.name) for need in needs(signing_key, now)]
    assert told == [
        ("Recovery", "Replace the last owner: Contoso"),
        ("Mail", told[1][1]),
        ("Webhook", "vendor.example"),
        ("Ends", "Build farm of Contoso"),
        ("All keys expired", "Shop analytics of Fabrikam"),
        ("Refused", "Primary key of Build farm, Contoso"),
    ]
    assert told[1][1].endswith(" to n@x.example")
    make_license(subscription=make_subscription(tenant=fabrikam))
    assert told == [(need.kind, need.name) for need in needs(signing_key, now)]
