"""What operators do to rows: asked first, with a reason, told row by row, recorded once each."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses.models import LicenseKey
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.dates import moment
from portal.mail.models import Outbox
from portal.operators import actions
from portal.operators.actions import MAX_ROWS
from portal.tenants.models import Role, Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member, prove, sign_in, stale
from tests.support.admin_pages import address, form_of
from tests.support.factories import make_license, make_subscription
from tests.support.operator_actions import WHY, ask, do, operator_of, results


def entries():
    return [
        (
            row.action,
            row.actor_email,
            row.reason,
            row.subscription_name,
            row.details.get("before"),
            row.details.get("after"),
        )
        for row in LogEntry.objects.order_by("pk")
    ]


# Asking


def test_the_page_in_between_says_what_happens_to_whom(operator_client, contoso):
    rows = [make_subscription(tenant=contoso, name=name) for name in ["Field tools", "Lab"]]
    response = ask(operator_client, rows, "suspend")
    html = response.content.decode()
    assert response.status_code == 200
    assert "every check of their license keys is refused" in html
    assert html.count("Contoso: SMB monthly, active, no end") == 2
    assert set(re.findall(r'name="row" value="([^"]+)"', html)) == {str(row.pk) for row in rows}
    assert [row.state for row in Subscription.objects.all()] == [State.ACTIVE] * 2
    assert entries() == []


def test_rows_that_cannot_are_told_before_and_left_out(operator_client, contoso):
    runs = make_subscription(tenant=contoso, name="Runs")
    other = make_subscription(tenant=contoso, name="Other")
    ended = make_subscription(tenant=contoso, name="Ended", state=State.ENDED)
    response = ask(operator_client, [runs, other, ended], "suspend")
    html = " ".join(response.content.decode().split())
    assert "Possible for 2 of them, not for 1 (ended)." in html
    assert ">Suspend 2 subscriptions</button>" in html
    sent = set(re.findall(r'name="row" value="([^"]+)"', html))
    assert sent == {str(runs.pk), str(other.pk)}
    none = ask(operator_client, [ended], "suspend").content.decode()
    assert 'name="reason"' not in none


def test_nothing_ticked_is_said_in_words_of_the_list(operator_client):
    url = address(Subscription, "changelist")
    page = operator_client.post(url, {"action": "suspend", "index": "0"}, follow=True)
    assert "Nothing was done. Tick the subscriptions first." in page.content.decode()


def test_the_result_leads_on(operator_client, contoso, owner):
    row = make_subscription(tenant=contoso, name="Field tools")
    html = do(operator_client, [row], "suspend").content.decode()
    assert "Field tools is suspended. Terminals are refused from their next start." in html
    assert f"A mail with the reason goes to {owner.email}." in html
    assert 'value="resume"' in html
    assert reverse("admin:portal_tenant_customer", args=[contoso.pk]) in html


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_nothing_is_done_without_a_reason(reason, operator_client):
    row = make_subscription()
    response = do(operator_client, [row], "suspend", reason=reason or "")
    assert response.status_code == 422
    assert response.context["form"].errors == {"reason": ["Write why you do this."]}
    row.refresh_from_db()
    assert (row.state, entries()) == (State.ACTIVE, [])


def test_a_link_does_nothing(operator_client):
    row = make_subscription()
    response = operator_client.get(address(Subscription, "do", "suspend"), {"row": row.pk})
    assert response.headers["Location"] == address(Subscription, "changelist")
    row.refresh_from_db()
    assert row.state == State.ACTIVE


def test_an_unknown_operator_action_is_not_found(operator_client):
    assert operator_client.post(address(Subscription, "do", "destroy")).status_code == 404


def test_too_many_rows_are_not_confirmed_by_a_glance(operator_client, contoso):
    plan = Plan.objects.get(code="smb-monthly")
    Subscription.objects.bulk_create(
        Subscription(
            tenant=contoso, plan=plan, name=f"No. {number}", beneficiary_tenant_id=contoso.pk
        )
        for number in range(MAX_ROWS + 1)
    )
    response = ask(operator_client, list(Subscription.objects.all()), "activate")
    assert response.status_code == 302
    page = operator_client.get(response.headers["Location"])
    assert f"These are more than {MAX_ROWS} rows. Choose fewer." in page.content.decode()


@pytest.mark.parametrize("chosen", [2, 3])
def test_as_many_rows_as_the_limit_are_done_and_not_one_more(
    chosen, operator_client, contoso, monkeypatch
):
    monkeypatch.setattr(actions, "MAX_ROWS", 2)
    rows = [make_subscription(tenant=contoso, state=State.PENDING) for _ in range(chosen)]
    assert ask(operator_client, rows, "activate").status_code == (200 if chosen == 2 else 302)
    url = address(Subscription, "do", "activate")
    response = operator_client.post(url, {"row": [row.pk for row in rows], "reason": "Paid"})
    assert response.status_code == (200 if chosen == 2 else 302)
    active = Subscription.objects.filter(state=State.ACTIVE)
    assert active.count() == (2 if chosen == 2 else 0)


# Subscriptions


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("activate", State.PENDING, State.ACTIVE, "is active. The customer"),
        ("suspend", State.ACTIVE, State.SUSPENDED, "is suspended. Terminals are refused"),
        ("resume", State.SUSPENDED, State.ACTIVE, "is active again. Its license keys"),
        ("end", State.ACTIVE, State.ENDED, "has ended, for good."),
    ],
)
def test_states_change_row_by_row_and_leave_one_row_each(
    name, before, after, told, operator_client, operator, contoso
):
    rows = [make_subscription(tenant=contoso, name=n, state=before) for n in ["One", "Two"]]
    answers = results(do(operator_client, rows, name))
    assert [row for row, _ in answers] == ["Two", "One"]
    assert all(text.startswith(f"{row} {told}") for row, text in answers)
    assert {row.state for row in Subscription.objects.all()} == {after}
    told = ({"state": before.value}, {"state": after.value})
    action = "subscription.activated" if name == "activate" else "subscription.changed"
    assert entries() == [
        (action, operator.email, WHY, "Two", *told),
        (action, operator.email, WHY, "One", *told),
    ]


def test_a_refusal_leaves_its_row_alone_and_the_others_done(operator_client, contoso):
    done = make_subscription(tenant=contoso, name="Runs")
    ended = make_subscription(tenant=contoso, name="Ended", state=State.ENDED)
    response = do(operator_client, [done, ended], "suspend")
    assert results(response) == [
        ("Ended", "This subscription is ended; it cannot become suspended."),
        ("Runs", "Runs is suspended. Terminals are refused from their next start."),
    ]
    assert [entry[3] for entry in entries()] == ["Runs"]


def test_an_end_is_set_moved_and_taken_away(operator_client):
    past = timezone.now() - timedelta(days=1)
    row = make_subscription(name="Back", ends_at=past)
    new = (timezone.now() + timedelta(days=90)).replace(microsecond=0)
    date = {"ends_at_0": f"{new:%Y-%m-%d}", "ends_at_1": f"{new:%H:%M:%S}"}
    [(_, text)] = results(do(operator_client, [row], "extend", **date))
    assert text.startswith(f"Back ends {moment(new)}.")
    row.refresh_from_db()
    assert (row.ends_at, row.state_at(timezone.now())) == (new, State.ACTIVE)
    assert entries()[0][4:] == ({"ends_at": past.isoformat()}, {"ends_at": new.isoformat()})
    do(operator_client, [row], "extend", ends_at_0="", ends_at_1="")
    row.refresh_from_db()
    assert row.ends_at is None
    old = {"ends_at_0": "2020-01-01", "ends_at_1": "00:00:00"}
    [(_, sentence)] = results(do(operator_client, [row], "extend", **old))
    assert sentence.startswith("The end must lie in the future")


def test_another_plan_is_told_to_owners_and_managers(
    operator_client, contoso, owner, manager, viewer, signing_key, owner_client
):
    row = make_subscription(tenant=contoso, name="Field tools")
    license = make_license(subscription=row)
    plan = Plan.objects.get(code="enterprise-yearly")
    [(_, text)] = results(do(operator_client, [row], "change_plan", plan=plan.pk))
    assert text.startswith("Field tools has the plan Enterprise yearly now.")
    assert entries()[0][4:] == ({"plan": "SMB monthly"}, {"plan": "Enterprise yearly"})
    mails = Outbox.objects.order_by("to")
    assert [mail.to for mail in mails] == ["manager@contoso.example", "owner@contoso.example"]
    assert "Reset is refused until they are deleted" in mails[0].text
    page = owner_client.get(reverse("subscriptions:detail", args=[row.pk])).content.decode()
    assert "The plan has changed: delete both keys and generate new ones." in page
    assert license.keys.filter(revoked_at=None).count() == 2


def test_a_plan_that_is_not_offered_is_no_choice(operator_client):
    row = make_subscription()
    plan = Plan.objects.get(code="demo-monthly")
    response = do(operator_client, [row], "change_plan", plan=plan.pk)
    assert (response.status_code, set(response.context["form"].errors)) == (422, {"plan"})


# License keys


def test_one_key_is_revoked(operator_client, signing_key):
    license = make_license()
    key, other = license.keys.order_by("slot")
    [(_, text)] = results(do(operator_client, [key], "revoke"))
    assert "is revoked. The primary slot needs a reset" in text
    key.refresh_from_db()
    other.refresh_from_db()
    assert (key.revoked_at is not None, other.revoked_at) == (True, None)
    [(action, _, reason, *_, before, after)] = entries()
    assert (action, reason, before) == ("license_key.revoked", WHY, {"revoked_at": None})
    assert set(after) == {"revoked_at"}


@pytest.mark.parametrize(("slots", "revoked"), [("both", 2), ("primary", 1)])
def test_keys_of_a_license_are_revoked(slots, revoked, operator_client, signing_key):
    license = make_license()
    do(operator_client, [license], "revoke", slots=slots)
    assert LicenseKey.objects.exclude(revoked_at=None).count() == revoked
    assert len(entries()) == revoked


@pytest.mark.parametrize(
    ("slots", "subject"),
    [
        ("both", "Both keys of Field tools were revoked by the vendor"),
        ("secondary", "Secondary key of Field tools was revoked by the vendor"),
    ],
)
def test_one_mail_tells_of_all_keys_that_were_revoked(
    slots, subject, operator_client, contoso, owner, signing_key
):
    license = make_license(subscription=make_subscription(tenant=contoso, name="Field tools"))
    do(operator_client, [license], "revoke", slots=slots)
    assert list(Outbox.objects.values_list("to", "subject")) == [(owner.email, subject)]
    assert f"Reason: {WHY}" in Outbox.objects.get().text
    do(operator_client, [license], "revoke", slots=slots)
    assert Outbox.objects.count() == 1


# Rights


def sends(client, row, name, **fields):
    return do(client, [row], name, **fields).status_code


@pytest.mark.parametrize(
    ("group", "subscription", "key", "owner", "factor", "staff"),
    [
        ("support", 403, 403, 403, 403, 403),
        ("sales", 200, 403, 403, 403, 403),
        ("security", 403, 200, 200, 200, 403),
        (None, 403, 403, 403, 403, 403),
    ],
)
def test_each_group_does_its_own_only(
    group, subscription, key, owner, factor, staff, contoso, signing_key
):
    member = make_member(
        tenant=contoso, role=Role.OWNER, email="owner@contoso.example", two_factor=True
    )
    license = make_license(subscription=make_subscription(tenant=contoso))
    client = operator_of(group)
    assert sends(client, license.subscription, "suspend") == subscription
    assert sends(client, license.keys.first(), "revoke") == key
    assert sends(client, contoso, "replace_owner", email="new@contoso.example") == owner
    assert sends(client, member, "remove_second_factor") == factor
    assert sends(client, member, "set_operator", is_staff="on") == staff


# Recent proof: who sits down at an operator's desk changes nothing


@pytest.fixture
def stale_client(operator):
    return sign_in(Client(), operator, at=stale())


def forms(contoso):
    """Return (address, what to change, the form's fields) of each page that adds or edits."""
    user = make_member(tenant=contoso, role=Role.VIEWER, email="jane@contoso.example")
    subscription = make_subscription(tenant=contoso, name="Field tools")
    plan = Plan.objects.get(code="smb-monthly")
    end = {"ends_at_0": "2031-02-03", "ends_at_1": "04:05:06"}
    return {
        "add a tenant": (address(Tenant, "add"), {"name": "Northwind", "country": "NLD"}),
        "edit a tenant": (
            address(Tenant, "change", contoso.pk),
            {"name": "Contoso 2", "requires_two_factor": "on"},
        ),
        "edit a user": (address(User, "change", user.pk), {"name": "Jane", "is_active": None}),
        "add a subscription": (address(Subscription, "add"), {"name": "Lab", **end}),
        "edit a subscription": (
            address(Subscription, "change", subscription.pk),
            {"name": "Lab tools"},
        ),
        "add a plan": (address(Plan, "add"), {"name": "Tiny", "code": "tiny"}),
        "edit a plan": (address(Plan, "change", plan.pk), {"name": "Smaller"}),
    }


def rows():
    models = (Tenant, User, Subscription, Plan, LogEntry)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize(
    "page",
    [
        "add a tenant",
        "edit a tenant",
        "edit a user",
        "add a subscription",
        "edit a subscription",
        "add a plan",
        "edit a plan",
    ],
)
def test_a_form_asks_for_recent_proof_and_keeps_what_was_typed(page, contoso, stale_client):
    url, changes = forms(contoso)[page]
    before, sent = rows(), {**form_of(stale_client, url), "reason": WHY, **changes}
    sent = {name: value for name, value in sent.items() if value is not None}
    answer = stale_client.post(url, sent)
    assert answer.headers["Location"] == reverse("account_reauthenticate", query={"next": url})
    assert rows() == before
    kept = form_of(stale_client, url)
    typed = {name: value for name, value in sent.items() if not name.startswith("initial-")}
    assert {name: kept.get(name) for name in typed} == typed
    assert set(kept) - set(sent) == set()
    assert form_of(stale_client, url).get("reason") == ""
    prove(stale_client)
    stale_client.post(url, sent)
    assert rows() != before or page.startswith("add")  # where more has to be typed


def test_who_may_not_edit_is_not_asked_for_a_proof(contoso):
    client = operator_of("support", at=stale())
    url = address(Tenant, "change", contoso.pk)
    assert client.post(url, {"name": "x", "reason": WHY}).status_code == 403
