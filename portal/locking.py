"""The lock that every change of a tenant, its members and its invitations takes first.

Order of locks everywhere: subscription, tenant, then the log's chain.
"""

from uuid import UUID

from portal.models import Tenant


def lock_tenant(tenant_id: UUID) -> Tenant:
    """Return the tenant as it is now, its row locked until the transaction ends.

    On SQLite a transaction holds the write lock from its start (BEGIN IMMEDIATE) and
    `select_for_update` adds nothing.
    """
    return Tenant.objects.select_for_update().get(pk=tenant_id)
