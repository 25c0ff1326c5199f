"""How long others wait: the statements that run while a flow holds SQLite's one write lock."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from licenses.models import SigningKey, Slot
from portal.tenants.models import Role, Tenant
from tests.support.accounts import make_member
from tests.support.factories import make_subscription
from tests.support.license_flows import after_reset, generated

pytestmark = pytest.mark.django_db

MOST = 12
"""Nine of them plain SQL, which take a fifth of the ORM's time."""


def under_the_lock(act: Callable[[], object]) -> list[str]:
    """Return the statements from the beginning of the flow's transaction to its end."""
    with CaptureQueriesContext(connection) as queries:
        act()
    statements = [query["sql"] for query in queries]
    [begin] = [n for n, sql in enumerate(statements) if sql.startswith("SAVEPOINT")]
    [end] = [n for n, sql in enumerate(statements) if sql.startswith("RELEASE SAVEPOINT")]
    assert begin < end == len(statements) - 1
    return statements[begin + 1 : end]


def test_generate_holds_the_lock_for_few_statements(
    contoso: Tenant, signing_key: SigningKey
) -> None:
    generated(make_subscription(tenant=contoso))  # the tenant's log has begun
    subscription = make_subscription(tenant=contoso)
    statements = under_the_lock(lambda: generated(subscription))
    assert len(statements) <= MOST, statements


def test_reset_holds_the_lock_for_few_statements(contoso: Tenant, signing_key: SigningKey) -> None:
    make_member(tenant=contoso, role=Role.OWNER, email="owner@contoso.example")
    license = generated(make_subscription(tenant=contoso))
    jti = license.keys.get(slot=Slot.PRIMARY).jti
    statements = under_the_lock(lambda: after_reset(license, expected_jti=jti))
    assert len(statements) <= MOST, statements
    assert not [sql for sql in statements if "portal_member" in sql], "whom to mail is known before"
