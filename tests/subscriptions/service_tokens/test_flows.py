"""Service tokens are made, rotated and revoked by owners, and ended by whoever holds them."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core import token_format
from portal.core.actors import Actor
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.programs import limits
from portal.tenants.models import Member, Role, Tenant
from subscriptions.service_tokens import flows, reminders, tidying
from subscriptions.service_tokens.authentication import TokenRefused, authenticate
from subscriptions.service_tokens.flows import make_token, revoke_token, rotate_token
from subscriptions.service_tokens.models import Scope, ServiceToken, TokenState
from tests.support.accounts import make_member
from tests.support.factories import make_subscription
from tests.support.races import race, take_away_lock_of_tenants
from tests.support.service_tokens import make_service_token

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)
HERE = "198.51.100.7"
SAME_NAME = "Another token has this name: the log tells them apart by it."
NO_NETWORK = "“home” is no network, such as 198.51.100.0/24 or 2001:db8::/32."
HOST_BITS = "“10.0.0.1/8” names an address in a network. Enter 10.0.0.0/8 for the whole network."


@pytest.fixture
def ada(owner: User) -> Actor:
    return owner.as_actor("203.0.113.9")


def made(tenant: Tenant, actor: Actor, **fields: Any) -> tuple[ServiceToken, str]:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "name": "Nightly renewal",
        "scopes": [Scope.KEYS_RENEW, Scope.SUBSCRIPTIONS_READ],
        "subscriptions": None,
        "networks": [],
        "days": 90,
        "now": NOW,
    }
    return make_token(tenant=tenant, actor=actor, **(values | fields))


def refusal(act: Callable[[], object]) -> str:
    """Return the sentence of a refusal, which changed nothing."""
    before = list(ServiceToken.objects.order_by("pk").values()), LogEntry.objects.count()
    with pytest.raises(Refused) as caught:
        act()
    after = list(ServiceToken.objects.order_by("pk").values()), LogEntry.objects.count()
    assert after == before
    return caught.value.sentence


def works(raw: str, now: Any = NOW) -> bool:
    try:
        authenticate(raw, address=HERE, now=now)
    except TokenRefused:
        return False
    return True


def mails() -> list[tuple[str, str]]:
    return list(Outbox.objects.order_by("to").values_list("to", "subject"))


class TestMake:
    def test_stores_a_hash_records_it_and_mails_the_owners_alone(
        self, contoso: Tenant, ada: Actor, manager: User, viewer: User
    ) -> None:
        one = make_subscription(tenant=contoso)
        make_member(tenant=contoso, role=Role.OWNER, email="colleague@contoso.example")
        token, raw = made(
            contoso,
            ada,
            subscriptions=[one],
            networks=["192.0.2.0/24", "2001:db8::1", "::ffff:127.0.0.0/104"],
            days=400,
        )
        stored = ServiceToken.objects.values().get()
        assert (raw in str(stored), raw[-4:]) == (False, stored["ending"])
        assert token.scopes == ["subscriptions:read", "keys:renew"]
        assert list(token.subscriptions()) == [one]
        entry = LogEntry.objects.get()
        assert (entry.action, entry.actor_name) == ("token.made", "Owner")
        assert entry.details == {
            "name": "Nightly renewal",
            "id": str(token.pk),
            "ends_in": raw[-4:],
            "scopes": ["subscriptions:read", "keys:renew"],
            "subscriptions": [str(one.pk)],
            "networks": ["192.0.2.0/24", "2001:db8::1/128", "127.0.0.0/8"],
            "expires_at": (NOW + 400 * DAY).isoformat(),
        }
        news = "Service token Nightly renewal was made by Owner"
        assert mails() == [("colleague@contoso.example", news), ("owner@contoso.example", news)]
        everything = str([*Outbox.objects.values(), *LogEntry.objects.values()])
        assert raw not in everything

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"days": 401}, "Choose 1 to 400 days."),
            ({"days": 0}, "Choose 1 to 400 days."),
            ({"scopes": []}, "Choose what the token may do."),
            ({"scopes": ["*"]}, "Choose what the token may do."),
            ({"subscriptions": []}, "Enter the subscriptions that the token reaches."),
            ({"name": " "}, "Enter a name: this one shows nothing."),
            ({"name": "nightly RENEWAL"}, SAME_NAME),
            ({"networks": ["10.0.0.1/8"]}, HOST_BITS),
            ({"networks": ["home"]}, NO_NETWORK),
            (
                {"networks": ["fe80::1%eth0"]},
                "Enter addresses without a zone (%): it has a meaning on one machine only.",
            ),
            ({"networks": [f"192.0.2.{n}" for n in range(21)]}, "Enter at most 20 networks."),
        ],
    )
    def test_refuses(self, contoso: Tenant, ada: Actor, fields: Any, sentence: str) -> None:
        made(contoso, ada)
        arguments = {"name": "Other"} | fields
        assert refusal(lambda: made(contoso, ada, **arguments)) == sentence

    def test_refuses_subscriptions_of_others_and_who_is_no_owner(
        self, contoso: Tenant, ada: Actor, manager: User
    ) -> None:
        foreign = make_subscription()
        assert refusal(lambda: made(contoso, ada, subscriptions=[foreign])) == (
            "Enter the subscriptions that the token reaches."
        )
        assert refusal(lambda: made(contoso, manager.as_actor())) == (
            "You are no longer an owner of Contoso. Nothing was changed."
        )

    def test_a_form_that_is_sent_twice_makes_one(self, contoso: Tenant, ada: Actor) -> None:
        token, _ = made(contoso, ada)
        assert "was made already" in refusal(lambda: made(contoso, ada, id=token.pk, name="B"))

    def test_a_tenant_has_a_limit(
        self, contoso: Tenant, ada: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flows, "MAX_TOKENS", 2)
        make_service_token(tenant=contoso)
        make_service_token(tenant=contoso, revoked_at=NOW)
        make_service_token(tenant=contoso)
        assert refusal(lambda: made(contoso, ada)) == (
            "Contoso has 2 tokens. Revoke one that is not needed."
        )

    def test_it_works_when_its_maker_is_gone(
        self, contoso: Tenant, owner: User, ada: Actor
    ) -> None:
        make_member(tenant=contoso, role=Role.OWNER, email="colleague@contoso.example")
        token, raw = made(contoso, ada, now=timezone.now())
        names = []
        for leaves in (Member.objects.get(user=owner).delete, owner.delete):
            leaves()
            token.refresh_from_db()
            names.append((works(raw, timezone.now()), token.created_by_name, token.created_by_id))
        assert names == [(True, "Owner", ada.user_id), (True, "a deleted account", None)]


class TestRotate:
    @pytest.mark.parametrize("overlap", [timedelta(0), timedelta(hours=24), timedelta(days=7)])
    def test_the_old_one_works_through_the_overlap(
        self, contoso: Tenant, ada: Actor, overlap: timedelta
    ) -> None:
        one = make_subscription(tenant=contoso)
        old, old_raw = make_service_token(
            tenant=contoso, only=[one], networks=["198.51.100.0/24"], created_at=NOW - 10 * DAY,
            expires_at=NOW + 80 * DAY,
        )  # fmt: skip
        new, raw = rotate_token(token=old, overlap=overlap, actor=ada, now=NOW)
        old.refresh_from_db()
        assert (old.successor, old.works_until) == (new, NOW + overlap)
        assert [works(old_raw, NOW), works(old_raw, NOW + overlap)] == [bool(overlap), False]
        assert works(raw, NOW + overlap)
        copied = ("name", "scopes", "for_all_subscriptions", "networks")
        assert [getattr(new, f) for f in copied] == [getattr(old, f) for f in copied]
        assert (list(new.subscriptions()), new.expires_at) == ([one], NOW + 90 * DAY)
        entry = LogEntry.objects.get()
        assert (entry.action, entry.details["predecessor"]) == ("token.rotated", str(old.pk))
        assert mails() == [("owner@contoso.example", "Service token Pipeline was rotated by Owner")]

    def test_an_overlap_never_lasts_longer_than_the_old_one(
        self, contoso: Tenant, ada: Actor
    ) -> None:
        old, _ = make_service_token(tenant=contoso, expires_at=NOW + DAY, created_at=NOW - DAY)
        rotate_token(token=old, overlap=7 * DAY, actor=ada, now=NOW)
        old.refresh_from_db()
        assert old.overlap_ends_at == NOW + DAY

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            (
                {"revoked_at": NOW, "revoked_by_name": "Bo"},
                "Pipeline was revoked by Bo. Make a new token.",
            ),
            ({"expires_at": NOW}, "Pipeline has expired. Make a new token."),
        ],
    )
    def test_refuses_one_that_has_ended(
        self, contoso: Tenant, ada: Actor, fields: Any, sentence: str
    ) -> None:
        token, _ = make_service_token(tenant=contoso, **{"created_at": NOW - DAY} | fields)
        act = lambda: rotate_token(token=token, overlap=DAY, actor=ada, now=NOW)  # noqa: E731
        assert refusal(act) == sentence

    def test_once_more_is_told_who_has_the_secret(self, contoso: Tenant, ada: Actor) -> None:
        token, _ = make_service_token(tenant=contoso)
        rotate_token(token=token, overlap=DAY, actor=ada)
        act = lambda: rotate_token(token=token, overlap=DAY, actor=ada)  # noqa: E731
        assert " by Owner. The secret of its successor was shown then: " in refusal(act)


class TestRevoke:
    def test_it_is_refused_from_the_next_request_on(self, contoso: Tenant, ada: Actor) -> None:
        token, raw = make_service_token(tenant=contoso, created_at=NOW - DAY)
        assert works(raw)
        revoked = revoke_token(token=token, actor=ada, reason="Leaked.", now=NOW)
        assert (works(raw), revoked.state_at(NOW)) == (False, TokenState.REVOKED)
        entry = LogEntry.objects.get()
        assert (entry.action, entry.reason) == ("token.revoked", "Leaked.")
        text = Outbox.objects.get().text
        assert "Reason: Leaked.\n\nPrograms that use it are refused. It was last used: " in text

    def test_once_more_changes_and_tells_nothing(self, contoso: Tenant, ada: Actor) -> None:
        token, _ = make_service_token(tenant=contoso)
        revoke_token(token=token, actor=ada, reason="Leaked.")
        before = ServiceToken.objects.values().get()
        revoke_token(token=token, actor=ada, reason="Again.")
        assert ServiceToken.objects.values().get() == before
        assert (LogEntry.objects.count(), Outbox.objects.count()) == (1, 1)


def test_owners_learn_once_an_hour_that_it_is_used_from_elsewhere(
    contoso: Tenant, owner: User
) -> None:
    token, raw = make_service_token(tenant=contoso, networks=["192.0.2.0/24"])
    assert [works(raw, NOW + minutes * DAY / 24 / 60) for minutes in (0, 59, 61)] == [False] * 3
    rows = LogEntry.objects.values_list("action", "actor_id", "address")
    assert [*rows] == [("token.misplaced", token.pk, HERE)] * 2
    news = "Service token Pipeline was used from elsewhere"
    assert mails() == [("owner@contoso.example", news)] * 2


def test_ended_ones_are_removed_after_90_days(contoso: Tenant) -> None:
    old, new = NOW - 91 * DAY, NOW - 89 * DAY
    for name, fields in {
        "expired": {"expires_at": old},
        "revoked": {"revoked_at": old},
        "rotated": {"overlap_ends_at": old},
        "just revoked": {"revoked_at": new},
        "just expired": {"expires_at": new},
        "works": {},
    }.items():
        make_service_token(tenant=contoso, name=name, **{"created_at": NOW - 99 * DAY} | fields)
    assert tidying.prune(now=NOW) == 3
    left = ServiceToken.objects.values_list("name", flat=True)
    assert {*left} == {"just revoked", "just expired", "works"}


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def rotations(self, token: ServiceToken, actor: Actor) -> list[Any]:
        return race(lambda: rotate_token(token=token, overlap=DAY, actor=actor))

    def test_two_rotations_make_one_successor(self, contoso: Tenant, ada: Actor) -> None:
        token, _ = make_service_token(tenant=contoso)
        outcomes = self.rotations(token, ada)
        refused = [one for one in outcomes if isinstance(one, Refused)]
        assert (len(refused), ServiceToken.objects.count()) == (1, 2)
        assert LogEntry.objects.filter(action="token.rotated").count() == 1

    def test_without_the_lock_they_do_not(
        self, contoso: Tenant, ada: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token, _ = make_service_token(tenant=contoso)
        take_away_lock_of_tenants(monkeypatch, "subscriptions.service_tokens.flows")
        outcomes = self.rotations(token, ada)
        assert [one for one in outcomes if isinstance(one, Refused)] == []


class TestReminders:
    def test_owners_get_a_mail_14_and_3_days_before(
        self, contoso: Tenant, owner: User, manager: User
    ) -> None:
        make_service_token(tenant=contoso, expires_at=NOW + 90 * DAY)
        told = []
        for days in (75, 76, 76, 80, 87, 88, 90, 91):
            if reminders.send(now=NOW + days * DAY):
                told.append((days, mails()[-1]))
                Outbox.objects.all().delete()
        to, news = "owner@contoso.example", "Service token Pipeline expires in "
        assert told == [(76, (to, f"{news}14 days")), (87, (to, f"{news}3 days"))]

    def test_after_missed_days_there_is_one_mail(self, contoso: Tenant, owner: User) -> None:
        make_service_token(tenant=contoso, expires_at=NOW + 2 * DAY)
        assert [reminders.send(now=NOW + n * DAY / 24) for n in range(3)] == [1, 0, 0]
        assert "It was last used: never. Rotate it" in " ".join(Outbox.objects.get().text.split())

    def test_none_is_sent_about_one_that_was_rotated_or_revoked_or_lasts_no_longer(
        self, contoso: Tenant, ada: Actor
    ) -> None:
        rotated, _ = make_service_token(tenant=contoso, expires_at=NOW + 10 * DAY)
        rotate_token(token=rotated, overlap=7 * DAY, actor=ada, now=NOW)
        make_service_token(tenant=contoso, expires_at=NOW + 10 * DAY, revoked_at=NOW)
        made(contoso, ada, days=10)
        assert reminders.send(now=NOW + DAY) == 0
        assert reminders.send(now=NOW + 8 * DAY) == 2  # the successor, and the last one


class TestLeaked:
    URL = "/api/v1/revoke"

    @pytest.fixture(autouse=True)
    def _no_counts(self) -> None:
        limits.clear()

    def post(self, token: object, **options: Any) -> Any:
        return Client().post(self.URL, {"token": token}, content_type="application/json", **options)

    def test_whoever_holds_it_ends_it(self, contoso: Tenant, owner: User) -> None:
        token, raw = make_service_token(tenant=contoso)
        answer = self.post(raw, REMOTE_ADDR="203.0.113.50")
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        assert not works(raw, timezone.now())
        entry = LogEntry.objects.get()
        told = (entry.action, entry.actor_name, entry.address, entry.details["id"])
        assert told == ("token.revoked", "Holder of the token", "203.0.113.50", str(token.pk))
        assert [to for to, _ in mails()] == ["owner@contoso.example"]

    def test_unknown_and_ended_ones_are_answered_alike(self, contoso: Tenant) -> None:
        _, raw = make_service_token(tenant=contoso)
        _, ended = make_service_token(tenant=contoso, revoked_at=NOW)
        sent = (raw, f" {raw}\n", ended, token_format.generate(), "plt_", "")
        answers = [self.post(text) for text in sent]
        assert {(a.status_code, a.content) for a in answers} == {(200, answers[0].content)}
        assert LogEntry.objects.count() == 1

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "[]",
            "null",
            '{"token": 1}',
            '{"tokens": []}',
            '{"token": 1, "tokens": ["plt_"]}',
            "[" * 9999,
            "\xff",
        ],
    )
    def test_other_bodies_are_refused(self, db: None, body: str) -> None:
        answer = Client().post(self.URL, body, content_type="application/json")
        assert answer.status_code == 400

    def test_many_are_ended_at_once_and_none_of_them_counts(self, contoso: Tenant) -> None:
        secrets = [make_service_token(tenant=contoso)[1] for _ in range(13)]
        answers = [self.post(raw) for raw in secrets[:11]]
        body = {"tokens": secrets[11:]}
        answers.append(Client().post(self.URL, body, content_type="application/json"))
        assert {answer.status_code for answer in answers} == {200}
        assert not any(works(raw, timezone.now()) for raw in secrets)

    def test_an_address_has_a_limit(self, contoso: Tenant) -> None:
        answers = [self.post("plt_", REMOTE_ADDR="203.0.113.51") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert 0 < int(answers[-1]["Retry-After"]) <= 61
        assert self.post("plt_", REMOTE_ADDR="203.0.113.52").status_code == 200
