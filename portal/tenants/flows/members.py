"""Members of a tenant: change a role, remove, leave, hand over ownership."""

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.core.actors import Actor, ActorKind
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.tenants.models import Member, Role, Tenant
from portal.tenants.notices import by, notify_of_members


@transaction.atomic
def change_role(*, member: Member, role: Role, actor: Actor) -> Member:
    """Give the member another role and return the membership.

    Raises Refused when the actor is no longer an owner, or when it would leave no owner.
    """
    locked = _locked(member, actor)
    if locked.role == role:
        return locked
    _refuse_to_lose_the_last_owner(locked)
    changes = change(locked, {"role": role}) or {}
    record(
        actor=actor,
        action=Action.MEMBER_ROLE_CHANGED,
        tenant_id=locked.tenant_id,
        details=_who(locked) | changes,
    )
    news = f"Role of {locked.user} in {locked.tenant} was changed to {role.label.lower()}"
    notify_of_members(locked.tenant, f"{news} by {by(actor)}", actor=actor)
    return locked


@transaction.atomic
def remove_member(*, member: Member, actor: Actor) -> None:
    """End the membership; the person loses access at the next request.

    Raises Refused when the actor is no longer an owner, or when it would leave no owner.
    """
    locked = _locked(member, actor)
    _refuse_to_lose_the_last_owner(locked)
    details = _who(locked) | {"role": locked.role}
    locked.delete()
    record(actor=actor, action=Action.MEMBER_REMOVED, tenant_id=locked.tenant_id, details=details)
    news = f"{locked.user} was removed from {locked.tenant} by {by(actor)}"
    notify_of_members(locked.tenant, news, actor=actor)


@transaction.atomic
def leave_tenant(*, tenant: Tenant, actor: Actor) -> None:
    """End the actor's own membership. Raises Refused for the last owner."""
    lock(Tenant, tenant.pk)
    own = _own(tenant, actor)
    _refuse_to_lose_the_last_owner(own)
    details = _who(own) | {"role": own.role}
    own.delete()
    record(actor=actor, action=Action.MEMBER_LEFT, tenant_id=tenant.pk, details=details)
    notify_of_members(own.tenant, f"{own.user} left {own.tenant}", actor=actor)


@transaction.atomic
def hand_over(*, to: Member, actor: Actor) -> Member:
    """Make `to` an owner and the actor, an owner until now, a manager; return `to`.

    Raises Refused when the actor is no longer an owner, or when `to` is the actor or cannot
    sign in.
    """
    new = _locked(to, actor)
    old = _own(new.tenant, actor)
    if new == old:
        raise Refused("Choose another member: you are an owner already.", field="to")
    if not new.user.is_active:
        raise Refused(f"{new.user} cannot sign in at present. Choose somebody else.", field="to")
    new.role, old.role = Role.OWNER, Role.MANAGER
    for changed in (new, old):
        changed.save(update_fields=["role"])
    record(
        actor=actor,
        action=Action.OWNERSHIP_HANDED_OVER,
        tenant_id=new.tenant_id,
        details=_who(new),
    )
    news = f"{new.tenant} was handed over to {new.user} by {by(actor)}"
    notify_of_members(new.tenant, news, actor=actor)
    return new


def refuse_unless_owner(tenant: Tenant, actor: Actor) -> None:
    """Raise Refused for a member who is not an owner; call it under the tenant's lock."""
    if actor.kind != ActorKind.MEMBER:
        return
    if not tenant.memberships.owners().filter(user=actor.user_id).exists():
        raise Refused(f"You are no longer an owner of {tenant}. Nothing was changed.")


def _locked(member: Member, actor: Actor) -> Member:
    """Lock the tenant and return the membership as it is now."""
    refuse_unless_owner(lock(Tenant, member.tenant_id), actor)
    there = Member.objects.select_related("tenant", "user").filter(pk=member.pk).first()
    if there is None:
        raise Refused(f"{member.user} is no longer a member. Nothing was changed.")
    return there


def _own(tenant: Tenant, actor: Actor) -> Member:
    own = tenant.memberships.select_related("tenant", "user").filter(user=actor.user_id).first()
    if own is None:
        raise Refused(f"You are no longer a member of {tenant}.")
    return own


def _refuse_to_lose_the_last_owner(member: Member) -> None:
    others = member.tenant.memberships.owners().exclude(pk=member.pk)
    if member.role == Role.OWNER and not others.exists():
        raise Refused(
            f"{member.user} is the last owner of {member.tenant}. Make somebody else an owner "
            "first."
        )


def _who(member: Member) -> dict[str, str]:
    return {"name": member.user.name, "email": member.user.email}
