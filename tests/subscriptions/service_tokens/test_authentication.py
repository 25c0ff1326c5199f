"""Which service tokens are accepted, and what they reach."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core import token_format
from portal.core.actors import ActorKind
from portal.tenants.models import Tenant
from portal.tenants.notices import by
from subscriptions.service_tokens.authentication import TokenRefused, authenticate
from subscriptions.service_tokens.models import Scope, ServiceToken, TokenState
from tests.support.factories import make_subscription
from tests.support.service_tokens import make_service_token

pytestmark = [pytest.mark.django_db, pytest.mark.database]

NOW = timezone.now()
HERE = "198.51.100.7"
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def refusal(raw: str, *, address: str = HERE, now: Any = None) -> tuple[str, str]:
    with pytest.raises(TokenRefused) as caught:
        authenticate(raw, address=address, now=now or timezone.now())
    return caught.value.problem, caught.value.sentence


def queries(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        act()
    return [query["sql"] for query in captured]


def test_a_token_is_found_by_one_read_with_its_tenant(contoso: Tenant) -> None:
    token, raw = make_service_token(tenant=contoso, last_used_at=NOW)
    ran = queries(lambda: authenticate(raw, address=HERE, now=NOW + SECOND).tenant.name)
    assert [sql.partition(" ")[0] for sql in ran] == ["SELECT"]
    assert authenticate(raw, address=HERE, now=NOW + SECOND) == token


@pytest.mark.parametrize("raw", ["", "plt_", "eyJhbGciOi.e30.c2ln", "plt_" + "0" * 49, "é" * 53])
def test_what_is_no_token_does_not_reach_the_database(raw: str) -> None:
    ran = queries(lambda: refusal(raw))
    assert (refusal(raw)[0], ran) == ("invalid_token", [])


def test_an_unknown_token_is_answered_like_a_malformed_one(contoso: Tenant) -> None:
    make_service_token(tenant=contoso)
    assert refusal(token_format.generate()) == refusal("plt_nothing")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"expires_at": NOW + HOUR}, None),
        ({"expires_at": NOW}, "expired"),
        ({"overlap_ends_at": NOW + SECOND}, None),
        ({"overlap_ends_at": NOW}, "rotated"),
        ({"revoked_at": NOW}, "revoked"),
        ({"revoked_at": NOW - HOUR, "expires_at": NOW - SECOND}, "revoked"),
        ({"overlap_ends_at": NOW + HOUR, "expires_at": NOW}, "expired"),
        ({"networks": ["198.51.100.0/24"]}, None),
        ({"networks": ["2001:db8::/32", "198.51.100.7/32"]}, None),
        ({"networks": ["192.0.2.0/24", "2001:db8::/32"]}, "network_not_allowed"),
        ({"networks": ["192.0.2.0/24"], "expires_at": NOW}, "expired"),
    ],
)
def test_whoever_holds_a_token_is_told_why_it_is_refused(
    contoso: Tenant, fields: dict[str, Any], problem: str | None
) -> None:
    token, raw = make_service_token(
        tenant=contoso, **({"created_at": NOW - timedelta(days=1)} | fields)
    )
    if problem is None:
        assert authenticate(raw, address=HERE, now=NOW) == token
        assert set(ServiceToken.objects.working(NOW)) == {token}
    else:
        assert refusal(raw, now=NOW)[0] == problem
        token.refresh_from_db()
        assert token.last_used_at is None
        working = set(ServiceToken.objects.working(NOW))
        assert working == ({token} if problem == "network_not_allowed" else set())


def test_no_network_holds_a_client_without_an_address(contoso: Tenant) -> None:
    _, raw = make_service_token(tenant=contoso, networks=["0.0.0.0/0"])
    assert refusal(raw, address="")[0] == "network_not_allowed"


def test_its_use_is_noted_once_a_minute(contoso: Tenant) -> None:
    token, raw = make_service_token(tenant=contoso)
    noted = []
    for seconds, address in ((0, HERE), (59, "198.51.100.8"), (60, "198.51.100.9")):
        authenticate(raw, address=address, now=NOW + seconds * SECOND)
        token.refresh_from_db()
        noted.append((token.last_used_at, token.last_used_from))
    later = (NOW + 60 * SECOND, "198.51.100.9")
    assert noted == [(NOW, HERE), (NOW, HERE), later]


def test_it_reaches_its_own_tenants_subscriptions(contoso: Tenant, fabrikam: Tenant) -> None:
    first, second = make_subscription(tenant=contoso), make_subscription(tenant=contoso)
    foreign = make_subscription(tenant=fabrikam)
    everything, _ = make_service_token(tenant=contoso)
    one, _ = make_service_token(tenant=contoso, only=[first])
    odd, _ = make_service_token(tenant=contoso, only=[foreign])
    none, _ = make_service_token(tenant=contoso, only=[])
    reached = [set(token.subscriptions()) for token in (everything, one, odd, none)]
    assert reached == [{first, second}, {first}, set(), set()]
    assert len(queries(lambda: list(one.subscriptions()))) == 1


def test_it_allows_the_scopes_it_was_given(contoso: Tenant) -> None:
    token, _ = make_service_token(tenant=contoso, scopes=[Scope.KEYS_CHECK])
    assert [scope for scope in Scope if token.allows(scope)] == [Scope.KEYS_CHECK]


def test_the_log_tells_which_token_acted(contoso: Tenant, owner: User) -> None:
    token, _ = make_service_token(tenant=contoso, name="Nightly renewal")
    actor = token.actor(HERE)
    record(actor=actor, action=Action.KEY_RESET, tenant_id=contoso.pk)
    entry = LogEntry.objects.get()
    told = (entry.actor_kind, entry.actor_id, entry.actor_name, entry.actor_email, entry.address)
    assert told == ("token", token.pk, "Nightly renewal", "", HERE)
    assert (actor.kind, actor.user_id) == (ActorKind.SERVICE_TOKEN, None)
    assert by(actor) == "the service token Nightly renewal"


def test_the_states_have_an_order(contoso: Tenant) -> None:
    token, _ = make_service_token(tenant=contoso, created_at=NOW - HOUR)
    states = [token.state_at(NOW)]
    for field, at in (
        ("overlap_ends_at", NOW + SECOND),
        ("expires_at", NOW),
        ("overlap_ends_at", NOW),
        ("revoked_at", NOW),
    ):
        setattr(token, field, at)
        states.append(token.state_at(NOW))
    assert states == [
        TokenState.ACTIVE,
        TokenState.OVERLAPPING,
        TokenState.EXPIRED,
        TokenState.ROTATED,
        TokenState.REVOKED,
    ]
