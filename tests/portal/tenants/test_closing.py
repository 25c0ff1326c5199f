"""A tenant closes 30 days after its last owner asked; until then it can be taken back."""

import json
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from licenses.checking.check import check
from licenses.checking.results import Result
from licenses.models import LicenseKey
from licenses.store import proof
from portal.accounts.models import User
from portal.activity.actions import event_types
from portal.activity.models import LogEntry
from portal.activity.verify import verify
from portal.core.actors import SYSTEM, Actor, ActorKind
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.operators.flows.recovery import replace_owner
from portal.tenants.flows import closing
from portal.tenants.flows.closing import ask_closing, run_due, take_back_closing
from portal.tenants.flows.delete_account import delete_account
from portal.tenants.flows.invitations import invite_member
from portal.tenants.flows.members import change_role
from portal.tenants.flows.tenants import update_tenant
from portal.tenants.models import Invitation, Member, NotificationPreferences, Recipient, Role
from portal.webhooks.delivering import claim, finish
from portal.webhooks.flows import add_endpoint
from portal.webhooks.models import Delivery, Endpoint
from portal.webhooks.sending import Answer
from subscriptions.flows.add import add_subscription
from subscriptions.flows.start_community import start_community_subscription
from subscriptions.models import Subscription
from subscriptions.service_tokens.authentication import TokenRefused, authenticate
from tests.support.accounts import make_member, make_user, sign_in, stale
from tests.support.answers import messages_of, refusals
from tests.support.factories import make_license, make_subscription, make_tenant
from tests.support.killed import CLOSING
from tests.support.license_flows import after_reset
from tests.support.mails import mails
from tests.support.people import log, member, member_actor, refusal
from tests.support.races import race_all, take_away_lock_of_tenants
from tests.support.service_tokens import make_service_token
from tests.support.worker import killed

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
CLOSE, KEEP = "/tenant/close/", "/tenant/keep/"


def asks(owner, tenant, **options):
    return ask_closing(tenant=tenant, actor=member_actor(owner), **options)


def keeps(owner, tenant):
    return take_back_closing(tenant=tenant, actor=member_actor(owner))


@pytest.fixture
def due(owner, contoso):
    """Contoso, whose closing was asked for 31 days ago."""
    return asks(owner, contoso, now=timezone.now() - 31 * DAY)


# Ask, take back, warn


def test_the_last_owner_asks_and_every_member_gets_a_mail(owner, viewer, contoso):
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    asks(owner, contoso, now=now)
    asks(owner, contoso)
    contoso.refresh_from_db()
    assert contoso.closes_at == now + 30 * DAY
    assert log(contoso) == [("tenant.closing_asked", {"due": "2026-03-31T12:00:00+00:00"})]
    assert [(mail.to, mail.subject) for mail in mails()] == [
        ([owner.email], "Contoso will be closed, as Owner asked"),
        ([viewer.email], "Contoso will be closed, as Owner asked"),
    ]
    assert "It closes on 31 Mar 2026 at 12:00 UTC." in mails()[0].body
    assert "take the closing back; you can export" in mails()[0].body
    assert "your account is erased then too" in mails()[1].body
    assert "ask an owner of Contoso" in mails()[1].body


def test_who_is_not_the_last_owner_does_not(owner, manager, viewer, contoso):
    change_role(member=member(viewer), role=Role.OWNER, actor=member_actor(owner))
    assert refusal(lambda: asks(owner, contoso)) == (
        "Contoso has other owners: Viewer. Only its last owner closes a tenant, so let them leave "
        "or hand over first, or change their role."
    )
    assert refusal(lambda: asks(manager, contoso)).startswith("You are no longer an owner")
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert asks(owner, contoso).is_closing


def test_an_owner_takes_it_back(owner, manager, contoso):
    asks(owner, contoso)
    assert refusal(lambda: keeps(manager, contoso)).startswith("You are no longer an owner")
    keeps(owner, contoso)
    keeps(owner, contoso)
    contoso.refresh_from_db()
    assert (contoso.closes_at, len(log(contoso)), len(mails())) == (None, 2, 4)
    assert mails()[-1].subject == "Contoso stays: its closing was taken back by Owner"
    run_due(now=timezone.now() + 60 * DAY)
    assert contoso.memberships.count() == 2


def test_nothing_new_begins_meanwhile(owner, viewer, contoso, operator):
    actor = member_actor(owner)
    asks(owner, contoso)
    new = Subscription(
        tenant=contoso, plan=make_subscription().plan, name="New", beneficiary_tenant_id=contoso.pk
    )
    for act in (
        partial(invite_member, tenant=contoso, email="n@x.example", role=Role.VIEWER, actor=actor),
        partial(start_community_subscription, tenant=contoso, actor=actor),
        partial(add_subscription, subscription=new, actor=operator.as_actor(), reason="Bought"),
    ):
        assert refusal(act).endswith("Take the closing back first.")


def test_every_member_is_warned_7_days_and_1_day_before_once(owner, viewer, contoso):
    now = timezone.now()
    asks(owner, contoso, now=now)
    for days in (1, 22, 23, 23.5, 24, 28.9, 29, 29.5):
        run_due(now=now + days * DAY)
    assert Counter(mail.subject for mail in mails()[2:]) == {
        "Contoso will be closed in 7 days": 2,
        "Contoso will be closed in 1 day": 2,
    }


# What is left


def webhook(tenant):
    person = Actor(kind=ActorKind.MEMBER, user_id=uuid4(), name="Anna") if tenant else SYSTEM
    url, events = "https://anna.example/", event_types()
    return add_endpoint(tenant=tenant, url=url, events=events, actor=person)[0]


@pytest.fixture
def belongings(owner, viewer, contoso, fabrikam, operator):
    """What Contoso has: a license with three keys, one in an overlap of the past, and mail."""
    Member.objects.create(tenant=fabrikam, user=viewer, role=Role.VIEWER)
    for of in (contoso, None):
        webhook(of)
    subscription = make_subscription(
        tenant=contoso, name="Tools of Anna", beneficiary_email=owner.email, note="Call Anna"
    )
    license = make_license(subscription=subscription, created_by_name="Owner")
    after_reset(license, now=timezone.now())
    make_subscription(tenant=contoso, state="pending")
    Invitation.objects.create(
        tenant=contoso, email="new@x.example", role="viewer", invited_by=owner, token_sha256="x"
    )
    Recipient.objects.create(tenant=contoso, email="list@x.example")
    NotificationPreferences.objects.create(tenant=contoso)
    replace_owner(tenant=contoso, email="n@x.example", actor=operator.as_actor(), reason="Call")
    update_tenant(tenant=contoso, name="Anna Ltd", actor=member_actor(owner))
    return license


def no_name_is_left(*names):
    """Return the names that some row of some table holds, with the tables."""
    texts = {
        table._meta.label: json.dumps(list(table._base_manager.values()), default=str)
        for table in apps.get_models()
    }
    return [(name, table) for name in names for table, text in texts.items() if name in text]


def an_hour_later():
    return timezone.now() + timedelta(hours=1, minutes=1)


def test_what_is_left_of_a_tenant(belongings, due, owner, viewer, contoso):
    _, secret = make_service_token(tenant=contoso, name="Anna's pipeline")
    tokens = [key.token for key in LicenseKey.objects.exclude(token=None)]
    client = sign_in(Client(), owner)
    assert client.get("/tenant/").status_code == 200
    assert run_due() == []
    told = [delivery.event for delivery in Endpoint.objects.get(tenant=contoso).deliveries.all()]
    assert [event.type for event in told][-3:] == ["subscription.ended"] * 2 + ["key.deleted"]
    assert "Tools of Anna" in told[-1].body
    assert run_due(now=an_hour_later()) == [contoso.pk]
    contoso.refresh_from_db()
    assert contoso.name.startswith("Closed tenant ")
    assert contoso.closed_at <= contoso.erased_at
    assert {s.state for s in contoso.subscriptions.all()} == {"ended"}
    assert Counter(check(token, expected={}).result for token in tokens) == {
        Result.DELETED: 2,
        Result.REPLACED: 1,
    }
    assert LicenseKey.objects.exclude(token=None).count() == 0
    left = (
        *(contoso.memberships, contoso.invitations, contoso.recipients),
        *(contoso.service_tokens, contoso.webhook_endpoints),
    )
    assert [rows.count() for rows in left] == [0, 0, 0, 0, 0]
    assert {delivery.endpoint.tenant for delivery in Delivery.objects.all()} == {None}
    with pytest.raises(TokenRefused):
        authenticate(secret, address="", now=timezone.now())
    assert not User.objects.filter(pk=owner.pk).exists()
    assert User.objects.filter(pk=viewer.pk).exists()
    assert client.get("/tenant/").status_code == 302
    last = {(mail.to[0], mail.subject) for mail in mails()}
    assert last == {(email, "Anna Ltd was closed") for email in (owner.email, viewer.email)}
    assert {m.to[0]: "your account is erased" in m.body for m in mails()} == {
        owner.email: True,
        viewer.email: False,
    }
    assert run_due() == []
    Outbox.objects.update(sent_at=timezone.now())
    run_due()
    names = ("Anna", "Tools of", "Contoso", owner.email, "new@x", "n@x", str(owner.pk))
    assert no_name_is_left(*names) == []
    assert verify(contoso.pk) is None
    assert list(proof.findings(Counter())) == []


def test_its_webhooks_hear_of_the_end_and_go_as_soon_as_they_have(due, contoso):
    endpoint = webhook(contoso)
    make_license(subscription=make_subscription(tenant=contoso))
    assert run_due() == []
    for kind in ("subscription.ended", "key.deleted"):
        claimed = claim(endpoint)
        assert claimed.delivery.event.type == kind
        finish(claimed.delivery, Answer(code=204))
    run_due()
    contoso.refresh_from_db()
    assert (Endpoint.objects.count(), contoso.erased_at is None) == (0, False)
    assert finish(claimed.delivery, Answer(code=204))


def test_a_warning_that_fails_does_not_stop_the_others(owner, contoso, fabrikam, monkeypatch):
    now = timezone.now()
    for tenant in (fabrikam, contoso):
        tenant.closes_at = now + DAY
        tenant.save()
    warn = closing._warn
    monkeypatch.setattr(
        closing, "_warn", lambda pk, now: warn(pk if pk == contoso.pk else uuid4(), now)
    )
    run_due(now=now)
    assert [mail.subject for mail in mails()] == ["Contoso will be closed in 1 day"]


def test_a_closed_tenant_stays_closed(due, owner, contoso, operator):
    run_due()
    rows = len(log(contoso))
    run_due()
    assert len(log(contoso)) == rows
    actor = operator.as_actor()
    for act in (
        partial(take_back_closing, tenant=contoso, actor=actor, reason="Call"),
        partial(update_tenant, tenant=contoso, name="Again", actor=actor, reason="Call"),
        partial(replace_owner, tenant=due, email="n@x.example", actor=actor, reason="Call"),
    ):
        due.refresh_from_db()
        assert refusal(act).endswith("for good.")


def test_no_service_token_works_once_the_tenant_is_closed(owner, contoso):
    _, secret = make_service_token(tenant=contoso)
    asks(owner, contoso, now=timezone.now() - 31 * DAY)
    authenticate(secret, address="", now=timezone.now())
    run_due(stopped=lambda: True)
    with pytest.raises(TokenRefused, match="closed"):
        authenticate(secret, address="", now=timezone.now())


def test_operators_and_who_was_one_keep_their_accounts(due, owner, contoso, operator):
    Member.objects.create(tenant=contoso, user=operator, role=Role.VIEWER)
    former = make_member(tenant=contoso, role=Role.VIEWER, email="former@contoso.example")
    replace_owner(tenant=contoso, email="n@x.example", actor=former.as_actor(), reason="Call")
    other = make_user(email="other@x.example")
    replace_owner(
        tenant=make_subscription().tenant,
        email=other.email,
        actor=former.as_actor(),
        reason="Call",
    )
    run_due()
    assert set(User.objects.all()) == {operator, former, other}


def test_somebody_who_deleted_their_account_meanwhile_is_gone(due, viewer, contoso):
    delete_account(user=viewer, actor=member_actor(viewer))
    run_due()
    contoso.refresh_from_db()
    assert contoso.erased_at is not None


@pytest.mark.parametrize(
    "after", ["_close", "_let_go", "delete_keys", pytest.param("_replace", marks=pytest.mark.sweep)]
)
def test_it_goes_on_after_it_was_killed(after, belongings, due, contoso, owner, monkeypatch):
    """Whatever was committed when the process died stays; what was not is done."""
    from licenses.flows import closing as of_licenses
    from portal.activity import erasure

    place = {"delete_keys": of_licenses, "_replace": erasure}.get(after, closing)
    do = getattr(place, after)

    def dies(*arguments, **options):
        do(*arguments, **options)
        raise SystemExit

    with monkeypatch.context() as killed:
        killed.setattr(place, after, dies)
        with pytest.raises(SystemExit):
            run_due(now=an_hour_later())
    contoso.refresh_from_db()
    assert (contoso.closed_at is None, contoso.erased_at) == (False, None)
    run_due(now=an_hour_later())
    Outbox.objects.update(sent_at=timezone.now())
    run_due()
    contoso.refresh_from_db()
    assert contoso.erased_at is not None
    assert no_name_is_left("Anna", "Contoso", owner.email, str(owner.pk)) == []
    actions = Counter(action for action, _ in log(contoso))
    assert [actions[a] for a in ("tenant.closed", "license_keys.deleted", "log.erased")] == [1] * 3
    assert Outbox.objects.filter(tenant_id=contoso.pk).count() == 0
    assert verify(contoso.pk) is None


@pytest.mark.sweep
def test_a_worker_that_is_killed_again_and_again_leaves_nothing_half_done(
    belongings, due, contoso, owner
):
    """Real processes, killed one after the other, each further on in the same closing."""
    for moment in CLOSING:
        dead = killed(moment, "run_worker", "--once")
        assert dead.returncode == -signal.SIGKILL, f"{moment}: {dead.stdout}"
        assert verify(contoso.pk) is None, moment
        contoso.refresh_from_db()
        assert (contoso.closed_at is None, contoso.erased_at) == (False, None), moment
        contoso.closed_at = timezone.now() - timedelta(hours=2)  # nobody is still to be told
        contoso.save(update_fields=["closed_at"])
    run_due()
    Outbox.objects.update(sent_at=timezone.now())
    run_due()
    contoso.refresh_from_db()
    assert contoso.erased_at is not None
    assert no_name_is_left("Anna", "Contoso", owner.email, str(owner.pk)) == []
    actions = Counter(action for action, _ in log(contoso))
    assert [actions[a] for a in ("tenant.closed", "license_keys.deleted", "log.erased")] == [1] * 3
    assert (contoso.memberships.count(), contoso.webhook_endpoints.count()) == (0, 0)
    assert verify(contoso.pk) is None
    assert list(proof.findings(Counter())) == []


# Taken back at the moment at which it closes


def test_it_is_closed_or_taken_back_and_never_both(owner, contoso):
    asks(owner, contoso, now=timezone.now() - 31 * DAY)
    taken_back, _ = race_all([partial(keeps, owner, contoso), run_due])
    contoso.refresh_from_db()
    assert (contoso.closed_at is None) == (contoso.closes_at is None)
    assert isinstance(taken_back, Refused) == (contoso.closed_at is not None)


def test_without_the_lock_the_constraint_breaks_one_of_them(monkeypatch):
    """Tried until both have looked before one of them wrote."""
    take_away_lock_of_tenants(monkeypatch, "portal.tenants.flows.closing")
    past = timezone.now() - DAY

    def goes_wrong(number):
        tenant = make_tenant(closes_at=past)
        person = make_member(tenant=tenant, role=Role.OWNER, email=f"{number}@x.example")
        closes = partial(closing._close, tenant.pk, timezone.now())
        outcomes = race_all([partial(keeps, person, tenant), closes])
        return any(isinstance(outcome, DatabaseError) for outcome in outcomes)

    assert any(map(goes_wrong, range(10))), "both were always polite"


# The pages


def test_the_page_asks_for_the_name_and_every_page_says_so_then(owner_client, contoso):
    page = owner_client.get(CLOSE).content.decode()
    assert "The accounts of those who belong to no other tenant are erased" in page
    assert refusals(owner_client.post(CLOSE, {"confirmation": "yes"})) == [
        "That does not match. Type Contoso as it is written here."
    ]
    answer = owner_client.post(CLOSE, {"confirmation": " Contoso "})
    assert messages_of(answer) == ["Contoso will be closed. All members get a mail."]
    for address in ("/subscriptions/", "/tenant/", "/profile/", "/logs/"):
        assert owner_client.get(address).content.decode().count("Keep Contoso") == 1
    assert owner_client.get(CLOSE)["Location"] == "/tenant/"
    answer = owner_client.post(KEEP)
    assert messages_of(answer) == ["Contoso stays. All members get a mail."]
    assert "closing-banner" not in owner_client.get("/tenant/").content.decode()


def test_a_viewer_reads_who_can_take_it_back(owner, viewer_client, contoso):
    asks(owner, contoso)
    page = viewer_client.get("/subscriptions/").content.decode()
    assert ("An owner can take it back." in page, "Keep Contoso" in page) == (True, False)


def test_it_needs_a_recent_proof_and_taking_it_back_needs_none(owner, contoso):
    client = sign_in(Client(), owner, at=stale())
    answer = client.post(CLOSE, {"confirmation": "Contoso"})
    assert "reauthenticate" in answer["Location"] or "proof" in answer["Location"]
    asks(owner, contoso)
    client.post(KEEP)
    contoso.refresh_from_db()
    assert contoso.closes_at is None


def test_other_owners_are_named_and_nothing_is_asked(owner_client, viewer, contoso):
    Member.objects.filter(user=viewer).update(role=Role.OWNER)
    page = owner_client.get(CLOSE).content.decode()
    assert ("viewer@contoso.example" in page, "confirmation" in page) == (True, False)
    assert owner_client.post(CLOSE, {"confirmation": "Contoso"}).status_code == 422


def test_operators_see_it_and_take_it_back_for_a_reason(operator, owner, contoso, client_for):
    client = client_for(operator)
    asks(owner, contoso)
    assert "Its owner closes it" in client.get("/admin/").content.decode()
    action = f"/admin/portal/tenant/{contoso.pk}/keep-tenant/"
    assert action in client.get(f"/admin/portal/tenant/{contoso.pk}/change/").content.decode()
    assert client.post(action, {"reason": ""}).status_code == 422
    client.post(action, {"reason": "They called"})
    contoso.refresh_from_db()
    assert contoso.closes_at is None
    row = LogEntry.objects.for_tenant(contoso.pk).first()
    assert (row.action, row.reason) == ("tenant.closing_stopped", "They called")
    assert client.get(action).status_code == 404


def test_operators_cannot_change_a_closed_tenant(operator, due, contoso, client_for):
    run_due()
    client = client_for(operator)
    assert client.get(f"/admin/portal/tenant/{contoso.pk}/change/").status_code == 200
    assert client.post(f"/admin/portal/tenant/{contoso.pk}/change/", {}).status_code == 403
    page = client.get(f"/admin/portal/tenant/{contoso.pk}/customer/").content.decode()
    assert "for good" in page
