"""Words for reading subscriptions, and the plans that the portal ships with."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from licenses.models import KeyState, License, LicensedSubscriptions, LicenseKey, Slot
from licenses.models.subscriptions import read_license_state
from portal.tenants.models import Tenant
from subscriptions.catalogue import generations, seed_plans
from subscriptions.models import Plan, State, Subscription
from tests.support.factories import make_license, make_subscription

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


class TestState:
    @pytest.mark.parametrize("state", State)
    @pytest.mark.parametrize(
        ("ends_at", "over"),
        [(None, False), (NOW + TICK, False), (NOW, True), (NOW - DAY, True)],
        ids=["no end", "ends in a tick", "ends now", "ended yesterday"],
    )
    def test_is_the_same_word_for_rows_and_for_one_row(
        self, contoso: Tenant, state: State, ends_at: datetime | None, *, over: bool
    ) -> None:
        subscription = make_subscription(tenant=contoso, state=state, ends_at=ends_at)
        wanted = State.ENDED if over else state
        assert Subscription.objects.with_state(NOW).get().effective_state == wanted
        assert subscription.state_at(NOW) == wanted
        found = [s for s in State if Subscription.objects.in_state(s, NOW).exists()]
        assert found == [wanted]

    def test_comes_back_when_the_end_date_is_extended(self, contoso: Tenant) -> None:
        make_subscription(tenant=contoso, state=State.SUSPENDED, ends_at=NOW)
        Subscription.objects.update(ends_at=NOW + DAY)
        assert Subscription.objects.with_state(NOW).get().effective_state == State.SUSPENDED

    def test_is_that_of_the_present_moment_by_default(self, contoso: Tenant) -> None:
        make_subscription(tenant=contoso, ends_at=timezone.now() - TICK)
        make_subscription(tenant=contoso, ends_at=timezone.now() + DAY)
        found = Subscription.objects.with_state().order_by("ends_at")
        assert [one.effective_state for one in found] == ["ended", "active"]
        assert [one.ends_at for one in Subscription.objects.in_state(State.ENDED)] == [
            found[0].ends_at
        ]


class TestForTenant:
    def test_returns_its_own_the_newest_first(self, contoso: Tenant, fabrikam: Tenant) -> None:
        first, _, last = (make_subscription(tenant=t) for t in (contoso, fabrikam, contoso))
        assert [*Subscription.objects.for_tenant(contoso)] == [last, first]


class TestMatching:
    IDENTIFIER = "12ab34cd-56ef-4a12-8b34-123456789abc"

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("", {"Production", "Test 1-2"}),
            ("  ", {"Production", "Test 1-2"}),
            ("prod", {"Production"}),
            ("  DUCTION ", {"Production"}),
            ("1-2", {"Test 1-2"}),
            ("%", set()),
            ("_", set()),
            ("nothing", set()),
            (IDENTIFIER, {"Production"}),
            (IDENTIFIER.upper(), {"Production"}),
            (IDENTIFIER.replace("-", ""), {"Production"}),
            (IDENTIFIER[:8], {"Production"}),
            (IDENTIFIER[:9], {"Production"}),
            (IDENTIFIER[:12], {"Production"}),
            (IDENTIFIER.replace("-", "")[:11], {"Production"}),
            (IDENTIFIER[:-1] + "d", set()),
            (IDENTIFIER[1:], set()),
            (IDENTIFIER + "0", set()),
            ("-", {"Test 1-2"}),
        ],
    )
    def test_finds_a_part_of_the_name_or_the_begin_of_the_identifier(
        self, contoso: Tenant, text: str, names: set[str]
    ) -> None:
        make_subscription(tenant=contoso, name="Production", id=self.IDENTIFIER)
        make_subscription(tenant=contoso, name="Test 1-2", id="f" * 32)
        found = Subscription.objects.matching(text).values_list("name", flat=True)
        assert set(found) == names


class TestLicenseState:
    @pytest.fixture
    def license(self, contoso: Tenant) -> License:
        """Keys that expire in 31 days, the secondary a day later."""
        license = make_license(subscription=make_subscription(tenant=contoso), issued_at=NOW)
        license.keys.filter(slot=Slot.SECONDARY).update(expires_at=NOW + 32 * DAY)
        return license

    def license_state(self) -> tuple[bool, datetime | None]:
        one: Any
        [one] = LicensedSubscriptions(Subscription).all()
        read_license_state([one])
        return one.has_keys, one.keys_expire_at

    def test_without_license(self, contoso: Tenant) -> None:
        make_subscription(tenant=contoso)
        assert self.license_state() == (False, None)

    def test_is_the_earliest_expiry(self, license: License) -> None:
        assert self.license_state() == (True, NOW + 31 * DAY)

    def test_leaves_out_a_revoked_key(self, license: License) -> None:
        license.keys.filter(slot=Slot.PRIMARY).update(revoked_at=NOW)
        assert self.license_state() == (True, NOW + 32 * DAY)
        license.keys.update(revoked_at=NOW)
        assert self.license_state() == (True, None)

    @pytest.mark.parametrize("state", [KeyState.SUPERSEDED, KeyState.REPLACED])
    def test_leaves_out_old_keys_of_a_slot(self, license: License, state: KeyState) -> None:
        old = license.keys.get(slot=Slot.PRIMARY)
        LicenseKey.objects.filter(pk=old.pk).update(
            state=state, accepted_until=NOW + DAY, replaced_at=NOW, expires_at=NOW + 2 * DAY
        )
        assert self.license_state() == (True, NOW + 32 * DAY)

    def test_leaves_out_a_deleted_license(self, license: License) -> None:
        License.objects.update(deleted_at=NOW)
        LicenseKey.objects.update(
            state=KeyState.DELETED, token=None, deleted_at=NOW, expires_at=NOW + 2 * DAY
        )
        assert self.license_state() == (False, None)
        make_license(subscription=license.subscription, issued_at=NOW + DAY)
        assert self.license_state() == (True, NOW + 32 * DAY)

    def test_is_each_subscriptions_own(self, license: License, contoso: Tenant) -> None:
        make_subscription(tenant=contoso, name="Without")
        found: Any = list(LicensedSubscriptions(Subscription).order_by("created_at"))
        read_license_state(found)
        assert [(one.has_keys, one.keys_expire_at) for one in found] == [
            (True, NOW + 31 * DAY),
            (False, None),
        ]


class TestCatalogue:
    OFFERED = [
        ("community", "community", "community", "urn:oneimlx:lic:plan:community", 90),
        *[
            (f"{part}-{period}", "commercial", period, f"urn:oneimlx:lic:plan:{part}", days)
            for part in ("micro", "smb", "enterprise", "isv", "isvu")
            for period, days in (("monthly", 31), ("yearly", 365))
        ],
    ]
    SWITCHED_OFF = {
        *[f"urn:oneimlx:lic:plan:{part}" for part in ("demo", "onprem", "unlimited")],
        *[
            f"urn:oneimlx:terminal:plan:{part}"
            for part in ("demo", "micro", "smb", "enterprise", "onprem", "unlimited")
        ],
    }

    def test_offers_the_plans_of_the_contract(self) -> None:
        offered = Plan.objects.offered()
        told = [(p.code, p.edition, p.billing_period, p.urn, p.days) for p in offered]
        assert told == self.OFFERED

    def test_ships_others_switched_off_monthly_and_yearly(self) -> None:
        off = Plan.objects.filter(is_offered=False)
        assert sorted((p.urn, p.edition, p.days) for p in off) == sorted(
            (urn, "commercial", days) for urn in self.SWITCHED_OFF for days in (31, 365)
        )
        assert Plan.objects.exclude(custom_claims={}).count() == 0

    def test_plans_pass_their_own_rules(self) -> None:
        for plan in Plan.objects.all():
            plan.full_clean()

    def test_is_seeded_once(self) -> None:
        before = [*Plan.objects.order_by("pk").values()]
        seed_plans()
        assert [*Plan.objects.order_by("pk").values()] == before

    def test_keeps_what_operators_changed_and_adds_what_is_missing(self) -> None:
        codes = set(Plan.objects.values_list("code", flat=True))
        Plan.objects.filter(code="micro-monthly").update(name="Tiny", is_offered=False)
        Plan.objects.filter(code="isv-yearly").delete()
        seed_plans()
        changed = Plan.objects.get(code="micro-monthly")
        assert (changed.name, changed.is_offered) == ("Tiny", False)
        assert set(Plan.objects.values_list("code", flat=True)) == codes

    @pytest.mark.parametrize(
        ("plan", "starts_on"),
        [
            ("lic:plan:community", ["2022-05", "2022-09", "2023-03"]),
            ("lic:plan:smb", ["2022-05", "2022-09", "2023-03", "2023-05"]),
            ("lic:plan:isvu", ["2022-05", "2022-09", "2023-03"]),
            ("lic:plan:onprem", ["2023-05"]),
            ("lic:plan:custom", ["2022-05", "2022-09", "2023-03", "2023-05"]),
            ("terminal:plan:smb", ["2023-10"]),
            ("terminal:plan:custom", ["2023-10"]),
            ("terminal:plan:community", []),
        ],
    )
    def test_knows_which_terminals_start_on_a_plan(self, plan: str, starts_on: list[str]) -> None:
        assert generations(f"urn:oneimlx:{plan}") == starts_on
