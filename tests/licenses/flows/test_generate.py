"""Generate: the keys it makes, what it refuses, and that a refusal leaves nothing behind."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Model
from pytest_django import Settings

from licenses import keys
from licenses.checking.check import check
from licenses.checking.results import Result
from licenses.models import License, SigningKey, Slot, Usage
from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import (
    CUSTOM_CLAIMS,
    TYPED_CLAIMS,
    make_custom_plan,
    make_subscription,
)
from tests.support.license_flows import (
    ADA,
    BOB,
    DAY,
    NOW,
    WHOLE,
    at,
    broken_log,
    claims_of,
    generated,
    meanwhile,
    opened,
    refused,
)

pytestmark = pytest.mark.django_db

PROVIDER = "urn:oneimlx:lic:pvdr:pi"


@pytest.fixture
def subscription(contoso: Tenant) -> Subscription:
    return make_subscription(tenant=contoso, name="Production")


class TestClaims:
    @pytest.mark.parametrize(
        ("plan", "days", "urn", "usage"),
        [
            ("micro-monthly", 31, "micro", Usage.ORGANIZATIONAL),
            ("isvu-yearly", 365, "isvu", Usage.PERSONAL),
            ("community", 90, "community", Usage.EDUCATIONAL),
            ("community", 90, "community", Usage.RESEARCH),
        ],
    )
    @pytest.mark.parametrize("slot", Slot)
    def test_are_those_of_the_contract(
        self, slot: Slot, plan: str, days: int, urn: str, usage: Usage,
        contoso: Tenant, signing_key: SigningKey,
    ) -> None:  # fmt: skip
        subscription = make_subscription(tenant=contoso, plan=plan)
        license = generated(subscription, usage=usage, holder_name="Zoë & Co")
        key = license.keys.get(slot=slot)
        header, claims = opened(key.token)
        issued = int(WHOLE.timestamp())
        assert header == {"alg": "RS256", "typ": "JWT", "kid": signing_key.kid}
        assert claims == {
            "iss": "https://api.perpetualintelligence.com",
            "aud": [
                "Zoë & Co",
                f"https://login.perpetualintelligence.com/{contoso.pk}/v2.0",
            ],
            "name": "Zoë & Co",
            "sub": str(subscription.pk),
            "tid": str(contoso.pk),
            "tenant_ctry": "USA",
            "azp": "urn:oneimlx:cli",
            "acr": f"urn:oneimlx:lic:plan:{urn} urn:oneimlx:lic:usage:{usage.value} "
            "urn:oneimlx:lic:pvdr:pi",
            "auth_apps": str(license.authorized_application_id),
            "jti": str(key.jti),
            "iat": issued,
            "nbf": issued,
            "exp": issued + days * 86_400,
            "status": {
                "status_list": {
                    "idx": key.status_index,
                    "uri": "http://localhost:8000/public/status/1",
                }
            },
        }
        assert {type(claims[name]) for name in ("iat", "nbf", "exp")} == {int}

    def test_differ_between_the_slots_in_two_places_only(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        license = generated(subscription)
        primary, secondary = (claims_of(license, slot) for slot in Slot)
        assert {name for name in primary if primary[name] != secondary[name]} == {"jti", "status"}

    def test_custom_ones_lie_flat_beside_the_standard_ones(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        custom = generated(make_subscription(tenant=contoso, plan=make_custom_plan()))
        plain = generated(make_subscription(tenant=contoso))
        claims = claims_of(custom)
        assert {name: claims[name] for name in claims if name not in claims_of(plain)} == (
            CUSTOM_CLAIMS
        )
        assert {name for name in claims_of(plain) if name not in claims} == set()
        assert claims["acr"].split() == [
            "urn:oneimlx:lic:plan:custom", "urn:oneimlx:lic:usage:org", "urn:oneimlx:lic:pvdr:pi",
        ]  # fmt: skip

    def test_custom_ones_are_those_of_2023_10_plans_too(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        plan = make_custom_plan(urn="urn:oneimlx:terminal:plan:custom")
        claims = claims_of(generated(make_subscription(tenant=contoso, plan=plan)))
        assert {name: claims[name] for name in CUSTOM_CLAIMS} == CUSTOM_CLAIMS

    def test_of_other_plans_are_never_custom(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        names = set(claims_of(generated(make_subscription(plan="smb-yearly"))))
        Plan.objects.filter(pk=subscription.plan_id).update(custom_claims={"exp": 1, "x": 2})
        assert set(claims_of(generated(subscription))) == names

    def test_hold_what_the_settings_say(
        self, subscription: Subscription, signing_key: SigningKey, settings: Settings
    ) -> None:
        settings.LICENSE_ISSUER = "https://issuer.example"
        settings.LICENSE_TENANT_AUDIENCE = "https://tenants.example/{tid}/"
        settings.LICENSE_AUTHORIZED_PARTY = "urn:party"
        settings.PUBLIC_URL = "https://licenses.example"
        claims = claims_of(generated(subscription))
        assert [claims[name] for name in ("iss", "aud", "azp")] == [
            "https://issuer.example",
            ["Contoso", f"https://tenants.example/{subscription.tenant_id}/"],
            "urn:party",
        ]
        assert claims["status"]["status_list"]["uri"] == "https://licenses.example/public/status/1"


class TestExpiry:
    @pytest.mark.parametrize(
        ("ends", "expires"),
        [
            (None, WHOLE + 31 * DAY),
            (NOW + 32 * DAY, WHOLE + 31 * DAY),
            (NOW + 5 * DAY, WHOLE + 5 * DAY),
            (WHOLE + timedelta(seconds=1), WHOLE + timedelta(seconds=1)),
        ],
        ids=["no end", "end after the plan's days", "end before them", "end in a second"],
    )
    def test_is_the_earlier_of_plan_and_end(
        self, subscription: Subscription, signing_key: SigningKey,
        ends: datetime | None, expires: datetime,
    ) -> None:  # fmt: skip
        Subscription.objects.update(ends_at=ends)
        license = generated(subscription)
        rows = license.keys.values_list("issued_at", "expires_at")
        assert [*rows] == [(WHOLE, expires)] * 2
        assert claims_of(license)["exp"] == int(expires.timestamp())

    def test_of_a_subscription_that_ends_within_the_second_is_none(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        Subscription.objects.update(ends_at=NOW + timedelta(microseconds=1))
        assert refused(subscription) == (
            "This subscription ends at this very moment; it gets no license keys."
        )


class TestRows:
    def test_hold_what_went_into_the_keys(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        license = generated(subscription)
        row = License.objects.filter(pk=license.pk).values().get()
        assert row == {
            "id": license.pk,
            "tenant_id": subscription.tenant_id,
            "subscription_id": subscription.pk,
            "plan_id": subscription.plan_id,
            "usage": "org",
            "holder_name": "Contoso",
            "country": "USA",
            "authorized_application_id": UUID(claims_of(license)["auth_apps"]),
            "issuer": "https://api.perpetualintelligence.com",
            "tenant_audience": "https://login.perpetualintelligence.com/"
            f"{subscription.tenant_id}/v2.0",
            "authorized_party": "urn:oneimlx:cli",
            "plan_urn": "urn:oneimlx:lic:plan:smb",
            "days": 31,
            "custom_claims": {},
            "created_at": NOW,
            "created_by_name": "Ada Lovelace",
            "deleted_at": None,
            "deleted_by_name": "",
        }
        checks = [check(key.token, expected={}, now=NOW) for key in license.keys.all()]
        assert [(verdict.result, verdict.key.slot) for verdict in checks] == [
            (Result.VALID, "primary"),
            (Result.VALID, "secondary"),
        ]

    def test_in_the_log_are_one(self, subscription: Subscription, signing_key: SigningKey) -> None:
        license = generated(subscription)
        entry = LogEntry.objects.get()
        told = (entry.at, entry.actor_name, entry.actor_id, entry.actor_email, entry.address)
        assert told == (NOW, ADA.name, ADA.user_id, ADA.email, ADA.address)
        assert (entry.action, entry.subscription_id, entry.subscription_name, entry.slot) == (
            "license_keys.generated", subscription.pk, "Production", "",
        )  # fmt: skip
        assert entry.details == {
            "usage": "org",
            "holder_name": "Contoso",
            "authorized_application_id": str(license.authorized_application_id),
            "jti": [claims_of(license, slot)["jti"] for slot in Slot],
        }


class TestWhatChangesMeanwhile:
    @pytest.mark.parametrize(
        ("rows", "change", "claim", "value"),
        [
            (Subscription, {"ends_at": NOW + 5 * DAY}, "exp", int((WHOLE + 5 * DAY).timestamp())),
            (Plan, {"billing_period": "yearly"}, "exp", int((WHOLE + 365 * DAY).timestamp())),
            (Plan, {"urn": "urn:x"}, "acr", "urn:x urn:oneimlx:lic:usage:org " + PROVIDER),
            (Tenant, {"country": "DEU"}, "tenant_ctry", "DEU"),
        ],
        ids=["end", "period", "urn", "country"],  # the values differ from process to process
    )
    def test_is_in_the_keys(
        self, subscription: Subscription, signing_key: SigningKey,
        rows: type[Model], change: dict[str, Any], claim: str, value: object,
    ) -> None:  # fmt: skip
        of = {Subscription: subscription, Plan: subscription.plan, Tenant: subscription.tenant}
        pk = of[rows].pk
        with meanwhile(lambda: rows._default_manager.filter(pk=pk).update(**change)):
            license = generated(subscription)
        assert claims_of(license)[claim] == value

    def test_is_in_the_keys_when_it_is_a_custom_claim(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        plan = make_custom_plan()
        changed = CUSTOM_CLAIMS | {"terminal_limit": 6}
        with meanwhile(lambda: Plan.objects.filter(pk=plan.pk).update(custom_claims=changed)):
            license = generated(make_subscription(tenant=contoso, plan=plan))
        assert [claims_of(license, slot)["terminal_limit"] for slot in Slot] == [6, 6]
        assert license.custom_claims == changed

    def test_is_the_plan_of_the_license_when_it_is_another_of_one_urn(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        same = {"edition": "commercial", "billing_period": "monthly", "urn": subscription.plan.urn}
        other = make_custom_plan(custom_claims={}, **same)
        with meanwhile(lambda: Subscription.objects.update(plan=other)):
            assert generated(subscription).plan == other

    def test_signs_them_when_it_is_a_signing_key(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        successor = keys.create(now=NOW)
        with meanwhile(lambda: keys.activate(successor)):
            license = generated(subscription)
        assert {opened(key.token)[0]["kid"] for key in license.keys.all()} == {successor.kid}

    def test_refuses_them_when_it_is_the_state(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        with meanwhile(lambda: Subscription.objects.update(state=State.SUSPENDED)):
            assert refused(subscription) == (
                "This subscription is suspended. License keys are generated for active "
                "subscriptions only."
            )


def test_a_failure_half_way_leaves_nothing(
    subscription: Subscription, signing_key: SigningKey
) -> None:
    with broken_log():
        generated(subscription)


class TestRefusals:
    @pytest.mark.parametrize(
        ("state", "ends", "word"),
        [
            (State.PENDING, None, "is pending"),
            (State.SUSPENDED, None, "is suspended"),
            (State.ENDED, None, "has ended"),
            (State.ACTIVE, NOW, "has ended"),
        ],
    )
    def test_name_the_state(
        self, contoso: Tenant, signing_key: SigningKey,
        state: State, ends: datetime | None, word: str,
    ) -> None:  # fmt: skip
        subscription = make_subscription(tenant=contoso, state=state, ends_at=ends)
        assert refused(subscription) == (
            f"This subscription {word}. License keys are generated for active subscriptions only."
        )

    def test_of_a_second_generate_name_who_and_when(
        self, subscription: Subscription, signing_key: SigningKey
    ) -> None:
        generated(subscription)
        assert refused(subscription, actor=BOB, now=NOW + DAY) == (
            f"Ada Lovelace generated the license keys of this subscription on {at(NOW)}. "
            "Nothing was generated again."
        )

    @pytest.mark.parametrize(
        ("plan", "offered"),
        [("smb-yearly", {Usage.ORGANIZATIONAL, Usage.PERSONAL}),
         ("community", {Usage.EDUCATIONAL, Usage.RESEARCH})],
    )  # fmt: skip
    @pytest.mark.parametrize("usage", Usage)
    def test_meet_the_usages_of_the_other_edition(
        self, contoso: Tenant, signing_key: SigningKey,
        plan: str, offered: set[Usage], usage: Usage,
    ) -> None:  # fmt: skip
        subscription = make_subscription(tenant=contoso, plan=plan)
        if usage in offered:
            assert generated(subscription, usage=usage).usage == usage
        else:
            assert refused(subscription, field="usage", usage=usage) == (
                "Choose one of the usages that this plan offers."
            )

    @pytest.mark.parametrize("passive", [False, True])
    def test_come_without_an_active_signing_key(
        self, subscription: Subscription, *, passive: bool
    ) -> None:
        if passive:
            keys.create(now=NOW)
        assert refused(subscription) == (
            "No signing key is active. An operator must activate one before license keys can be "
            "generated."
        )

    def test_come_when_the_certificate_would_end_first(self, contoso: Tenant) -> None:
        ends = keys.activate(keys.create(now=NOW - 1085 * DAY)).valid_until
        month, days = (
            make_subscription(tenant=contoso, ends_at=end) for end in (ends + 2 * DAY, ends)
        )
        assert NOW < ends < NOW + 20 * DAY
        assert refused(month) == (
            "The certificate of the signing key ends before this license would. An operator must "
            "create and activate a new signing key."
        )
        assert {key.expires_at for key in generated(days).keys.all()} == {ends}

    def test_do_not_come_for_custom_claims_without_the_copies(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        plan = make_custom_plan(custom_claims=TYPED_CLAIMS)
        license = generated(make_subscription(tenant=contoso, plan=plan))
        assert license.custom_claims == CUSTOM_CLAIMS

    def test_come_for_custom_claims_older_than_the_rules(
        self, contoso: Tenant, signing_key: SigningKey
    ) -> None:
        plan = make_custom_plan(custom_claims=CUSTOM_CLAIMS | {"argument_alias": "yes"})
        assert refused(make_subscription(tenant=contoso, plan=plan)) == (
            "The license key cannot be signed with these custom claims. The claim argument_alias "
            "must be true or false. The claims argument_alias and option_alias must be the same "
            "value. Ask the vendor to correct the plan, then generate new license keys."
        )
