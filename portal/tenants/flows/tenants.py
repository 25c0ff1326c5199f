"""Open a tenant, and change what its owners may change about it."""

from django.db import transaction
from django.utils import timezone

from portal.accounts.second_factor import has_second_factor
from portal.activity.actions import Action
from portal.activity.changes import change, described
from portal.activity.entries import record
from portal.core import email_addresses
from portal.core.actors import Actor, ActorKind
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.core.validation import refuse_invalid
from portal.tenants.country import is_country_fixed
from portal.tenants.flows import invitations
from portal.tenants.flows.members import refuse_unless_owner
from portal.tenants.models import Role, Tenant
from portal.tenants.open_tenants import refuse_closed


@transaction.atomic
def update_tenant(
    *,
    tenant: Tenant,
    actor: Actor,
    reason: str = "",
    name: str | None = None,
    country: str | None = None,
    requires_two_factor: bool | None = None,
) -> Tenant:
    """Change what is given and differs, and return the tenant.

    Operators give a reason, owners need none. Raises Refused when the actor is no longer an owner,
    when the country would change after license keys were generated (they hold it), or when members
    would have to use a second factor which the acting owner does not have.
    """
    locked = lock(Tenant, tenant.pk)
    refuse_closed(locked)
    refuse_unless_owner(locked, actor)
    if country not in {None, locked.country} and is_country_fixed(locked):
        raise Refused(
            "The country is fixed, because license keys of this tenant hold it.", field="country"
        )
    if requires_two_factor and _would_lock_out(locked, actor):
        raise Refused(
            "Set up a second factor for yourself first: this would lock you out.",
            field="requires_two_factor",
        )
    wanted = {"name": name, "country": country, "requires_two_factor": requires_two_factor}
    changes = change(locked, {k: value for k, value in wanted.items() if value is not None})
    if changes is not None:
        record(
            actor=actor,
            action=Action.TENANT_CHANGED,
            tenant_id=locked.pk,
            reason=reason,
            details=changes,
        )
    return locked


def _would_lock_out(tenant: Tenant, actor: Actor) -> bool:
    if actor.kind != ActorKind.MEMBER or tenant.requires_two_factor:
        return False
    return not has_second_factor(actor.user_id)


@transaction.atomic
def open_tenant(*, tenant: Tenant, owner_email: str, actor: Actor, reason: str) -> Tenant:
    """Store a new tenant, invite its first owner by mail, and return it.

    Raises Refused when its name or country is not acceptable, or when nobody can be invited.
    """
    owner_email = email_addresses.admitted(owner_email, field="owner_email")
    refuse_invalid(tenant)
    tenant.save(force_insert=True)
    invitation = invitations.offer(
        tenant=tenant, email=owner_email, role=Role.OWNER, actor=actor, now=timezone.now()
    )
    record(
        actor=actor,
        action=Action.TENANT_OPENED,
        tenant_id=tenant.pk,
        reason=reason,
        details={
            "before": {},
            "after": {
                **described(tenant, ["name", "country", "requires_two_factor"]),
                "invited_owner": invitation.email,
            },
        },
    )
    return tenant
