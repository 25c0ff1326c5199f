"""Plain SQL finds the rows that the ORM finds."""

import pytest
from django.utils import timezone

from portal.core.rows import read
from portal.tenants.models import Recipient, Tenant
from tests.support.factories import make_tenant

pytestmark = pytest.mark.django_db


def test_rows_are_read_by_one_value_by_several_and_by_none(contoso: Tenant) -> None:
    tailspin = make_tenant(name="Tailspin")
    first, second = (
        Recipient.objects.create(tenant=tenant, email=f"{tenant.name}@list.example")
        for tenant in (contoso, tailspin)
    )
    ended = Recipient.objects.create(
        tenant=contoso, email="ended@list.example", ended_at=timezone.now()
    )
    assert read(Recipient, tenant=contoso.pk, ended_at=None) == [first]
    either = read(Recipient, tenant=[contoso.pk, tailspin.pk], ended_at=None)
    assert {row.pk for row in either} == {first.pk, second.pk}
    ever = read(Recipient, tenant=contoso.pk, ended_at=[ended.ended_at, None])
    assert {row.pk for row in ever} == {first.pk, ended.pk}
    [found] = read(Recipient, id=ended.pk)
    assert (found.tenant_id, found.email, found.ended_at) == (
        contoso.pk,
        ended.email,
        ended.ended_at,
    )
    assert read(Recipient, tenant=contoso.pk, email="nobody@list.example") == []
