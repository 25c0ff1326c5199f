"""Delete one's own account: it is a matter of tenants, because each keeps an owner."""

from django.db import transaction
from django.db.models import ProtectedError

from portal.accounts.flows.sessions import end_all_sessions
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.core import email_addresses
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox
from portal.mail.models import Outbox
from portal.tenants.models import Invitation, Member, Tenant


@transaction.atomic
def delete_account(*, user: User, actor: Actor) -> None:
    """Erase the account with all that hangs on it, leave its tenants, and mail a confirmation.

    Rows of logs stay. A repeated request changes nothing. Raises Refused for operators, for the
    last owner of a tenant, and when the person has joined a tenant meanwhile.
    """
    tenants = [lock(Tenant, pk) for pk in _tenant_ids(user)]
    locked = User.objects.select_for_update().filter(pk=user.pk).first()
    if locked is None:
        return
    _refuse_unless_deletable(locked, tenants)
    memberships = {member.tenant_id: member for member in locked.memberships.all()}
    for tenant in tenants:
        _record(locked, actor, tenant, memberships[tenant.pk])
    if not tenants:
        _record(locked, actor, None, None)
    erase_account(locked)
    outbox.queue(
        to=locked.email,
        subject="Your account was deleted",
        template="account_deleted",
        context={"tenants": tenants},
    )


def last_owner_of(user: User) -> list[Tenant]:
    """Return the tenants that would lose their last owner with this account, by name."""
    memberships = user.memberships.last_owners().select_related("tenant")
    return [member.tenant for member in memberships.order_by("tenant__name", "pk")]


def _tenant_ids(user: User) -> list[object]:
    memberships = Member.objects.filter(user_id=user.pk)
    return list(memberships.order_by("tenant_id").values_list("tenant_id", flat=True))


def _refuse_unless_deletable(user: User, locked: list[Tenant]) -> None:
    if user.is_staff or user.is_superuser:
        raise Refused("You are an operator. Let another operator end that first.")
    if _tenant_ids(user) != [tenant.pk for tenant in locked]:
        raise Refused("Your memberships have changed just now. Look at them, and try again.")
    if kept := last_owner_of(user):
        raise Refused(
            f"You are the last owner of {', '.join(map(str, kept))}. Hand over first: a tenant "
            "always has an owner."
        )


def _record(user: User, actor: Actor, tenant: Tenant | None, member: Member | None) -> None:
    details = {"name": user.name, "email": user.email}
    record(
        actor=actor,
        action=Action.ACCOUNT_DELETED,
        tenant_id=tenant.pk if tenant else VENDOR,
        details=details | ({"role": member.role} if member else {}),
    )


def erase_account(user: User) -> None:
    """Remove the account, what refers to it, its invitations that are no longer open, its mails.

    Mails that still wait go out. Raises Refused for who was an operator and asked for a change.
    """
    end_all_sessions(user=user)
    mails = Outbox.objects.filter(email_addresses.same("to", user.email))
    mails.exclude(sent_at=None, given_up_at=None).delete()
    mine = Invitation.objects.filter(email_addresses.same("email", user.email))
    mine.exclude(accepted_at=None, revoked_at=None).delete()
    try:
        User.objects.filter(pk=user.pk).delete()
    except ProtectedError as error:  # what an operator of before has asked for
        raise Refused(
            "What you did as an operator is still on record. Ask your vendor to delete the account."
        ) from error
