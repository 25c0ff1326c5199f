"""Close a tenant: ask for it, take it back, carry it out; and record an export."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.activity import erasure
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.pseudonyms import Pseudonyms
from portal.core.actors import SYSTEM, Actor
from portal.core.dates import known_zone, moment_beside_utc
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.core.steps import remove_in_steps
from portal.mail import outbox
from portal.mail.models import Outbox
from portal.mail.worker import do_each
from portal.tenants import leaving
from portal.tenants.flows.delete_account import erase_account
from portal.tenants.flows.members import refuse_unless_owner
from portal.tenants.models import CLOSING_DELAY, Member, NotificationPreferences, Role, Tenant
from portal.tenants.notices import by
from portal.tenants.open_tenants import refuse_closed

WARNINGS = (7, 1)
"""Days before the closing on which all members get one more mail."""


TOLD_FOR = timedelta(hours=1)
"""How long what is removed at last waits until its end was told."""

LAST_MAIL = "closed "
"""How the `dedupe_key` of a last mail begins, which is removed once it was sent."""


@transaction.atomic
def record_export(*, tenant: Tenant, actor: Actor) -> None:
    """Record that an owner takes all data of the tenant.

    Raises Refused when the actor is no longer an owner.
    """
    refuse_unless_owner(lock(Tenant, tenant.pk), actor)
    record(actor=actor, action=Action.TENANT_EXPORTED, tenant_id=tenant.pk)


@transaction.atomic
def ask_closing(*, tenant: Tenant, actor: Actor, now: datetime | None = None) -> Tenant:
    """Let the tenant close after CLOSING_DELAY, mail all members, and return it.

    A tenant that closes already is returned as it is. Raises Refused when the actor is not, or no
    longer, its only owner who can sign in.
    """
    now, locked = now or timezone.now(), lock(Tenant, tenant.pk)
    refuse_unless_owner(locked, actor)
    if locked.closes_at is not None:
        return locked
    refuse_other_owners(locked, actor)
    locked.closes_at = now + CLOSING_DELAY
    locked.save(update_fields=["closes_at"])
    record(
        actor=actor,
        action=Action.CLOSING_ASKED,
        tenant_id=locked.pk,
        details={"due": locked.closes_at.isoformat()},
        now=now,
    )
    _mail_members(locked, f"{locked} will be closed, as {by(actor)} asked", "tenant_closes")
    return locked


@transaction.atomic
def take_back_closing(*, tenant: Tenant, actor: Actor, reason: str = "") -> Tenant:
    """Let the tenant stay, mail all members, and return it; operators give a reason.

    A tenant that does not close is returned as it is. Raises Refused when it has been closed, or
    when the actor is no longer an owner.
    """
    locked = lock(Tenant, tenant.pk)
    refuse_closed(locked)
    refuse_unless_owner(locked, actor)
    if locked.closes_at is None:
        return locked
    locked.closes_at = None
    locked.save(update_fields=["closes_at"])
    record(
        actor=actor,
        action=Action.CLOSING_STOPPED,
        tenant_id=locked.pk,
        reason=reason,
    )
    subject = f"{locked} stays: its closing was taken back by {by(actor)}"
    _mail_members(locked, subject, "tenant_stays", reason=reason)
    return locked


def refuse_other_owners(tenant: Tenant, actor: Actor) -> None:
    """Raise Refused when others who can sign in own the tenant too."""
    others = tenant.memberships.owners().exclude(user=actor.user_id).select_related("user")
    if names := ", ".join(str(member.user) for member in others.order_by("user__name")):
        raise Refused(
            f"{tenant} has other owners: {names}. Only its last owner closes a tenant, so let them "
            "leave or hand over first, or change their role."
        )


def run_due(
    *, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False
) -> list[UUID]:
    """Mail what is due about tenants that close, and close those whose time has come.

    Returns those of which nothing is left to do. A closing that was killed half-way, or waits until
    its end was told, goes on where it was.
    """
    now = now or timezone.now()
    closing = Tenant.objects.closing().values_list("pk", flat=True)
    soon = closing.filter(closes_at__gt=now, closes_at__lte=now + timedelta(days=max(WARNINGS)))
    do_each(list(soon), lambda pk: _warn(pk, now), what="Warning of tenant")
    due = list(closing.filter(closes_at__lte=now))
    done = do_each(due, lambda pk: (pk, _carry_out(pk, now, stopped)), what="Closing of tenant")
    last = Outbox.objects.filter(dedupe_key__startswith=LAST_MAIL)
    remove_in_steps(last.exclude(sent_at=None, given_up_at=None), stopped=stopped)
    return [pk for pk, is_done in done if is_done]


@transaction.atomic
def _warn(tenant_id: UUID, now: datetime) -> None:
    """Mail all members once for each day of WARNINGS; of several that are due, the last one."""
    tenant = lock(Tenant, tenant_id)
    if not tenant.is_closing:
        return
    assert tenant.closes_at is not None
    left = tenant.closes_at - now
    days = min((days for days in WARNINGS if left <= timedelta(days=days)), default=None)
    if days is not None:
        subject = f"{tenant} will be closed in {days} day{'' if days == 1 else 's'}"
        once = f"closing {tenant.pk} {tenant.closes_at:%Y-%m-%d} {days}"
        _mail_members(tenant, subject, "tenant_closes", once=once)


def _carry_out(tenant_id: UUID, now: datetime, stopped: Callable[[], bool]) -> bool:
    """Do what is still to be done, and return whether nothing is left.

    Every part of it is done again where it was stopped.
    """
    tenant = _close(tenant_id, now)
    if tenant is None:
        return False
    names = erasure.pseudonyms(tenant_id)
    for member in tenant.memberships.order_by("pk"):
        _let_go(member, names)
    remove_in_steps(tenant.invitations.all(), stopped=stopped)
    remove_in_steps(tenant.recipients.all(), stopped=stopped)
    NotificationPreferences.objects.filter(tenant=tenant).delete()
    if not _do(leaving.ending, tenant, names, stopped) or _is_still_told(tenant, now):
        return False
    if not _do(leaving.removing, tenant, names, stopped):
        return False
    remove_in_steps(Outbox.objects.filter(tenant_id=tenant_id), stopped=stopped)
    if not erasure.erase(tenant_id=tenant_id, stopped=stopped) or stopped():
        return False
    Tenant.objects.filter(pk=tenant_id).update(erased_at=timezone.now())
    return True


def _do(
    steps: list[leaving.Step], tenant: Tenant, names: Pseudonyms, stopped: Callable[[], bool]
) -> bool:
    """Do the steps, and return whether none was left out because of `stopped()`."""
    for step in steps:
        if stopped():
            return False
        step(tenant, names)
    return True


def _is_still_told(tenant: Tenant, now: datetime) -> bool:
    """Return whether somebody is still to be told of the end, for TOLD_FOR at most."""
    assert tenant.closed_at is not None
    return now < tenant.closed_at + TOLD_FOR and any(wait(tenant) for wait in leaving.waiting)


@transaction.atomic
def _close(tenant_id: UUID, now: datetime) -> Tenant | None:
    """Close the tenant, from when on nothing takes it back; None when it was taken back before.

    Nobody gets in from then on, and its name is a pseudonym.
    """
    tenant = lock(Tenant, tenant_id)
    if tenant.closes_at is None or tenant.closes_at > now:
        return None
    if tenant.closed_at is not None:
        return tenant
    last = f"{LAST_MAIL}{tenant_id}"
    _mail_members(tenant, f"{tenant} was closed", "tenant_closed", once=last, is_last=True)
    record(actor=SYSTEM, action=Action.TENANT_CLOSED, tenant_id=tenant_id)
    people = tenant.members.values_list("pk", "name", "email")
    names = erasure.prepare(tenant_id=tenant_id, tenant_name=tenant.name, people=people)
    tenant.name, tenant.closed_at = names.tenant(), timezone.now()
    tenant.save(update_fields=["name", "closed_at"])
    return tenant


@transaction.atomic
def _let_go(member: Member, names: Pseudonyms) -> None:
    """End a membership of a closed tenant; erase the account of whoever belongs nowhere else.

    Operators keep their accounts, and those who were operators and have done something as such.
    """
    lock(Tenant, member.tenant_id)
    user = User.objects.select_for_update().filter(pk=member.user_id).first()
    if user is None:  # they have deleted their account
        return
    is_alone = Member.objects.alone_in(member.tenant).filter(pk=member.pk).exists()
    Member.objects.filter(pk=member.pk).delete()
    if not is_alone:
        return
    details = {"name": names.person(user.pk), "role": member.role}
    with suppress(Refused), transaction.atomic():
        record(
            actor=SYSTEM,
            action=Action.ACCOUNT_DELETED,
            tenant_id=member.tenant_id,
            details=details,
        )
        erase_account(user)


def _mail_members(
    tenant: Tenant,
    subject: str,
    template: str,
    *,
    once: str | None = None,
    is_last: bool = False,
    **context: object,
) -> None:
    """Queue a mail to every member who can sign in, whoever acted among them.

    The last one belongs to no tenant: mails of the tenant are removed with it.
    """
    alone = set(Member.objects.alone_in(tenant).values_list("pk", flat=True))
    for member in tenant.memberships.filter(user__is_active=True).select_related("user"):
        with timezone.override(known_zone(member.user.time_zone)):
            outbox.queue(
                to=member.user.email,
                subject=subject,
                template=template,
                context={
                    "what": f"{subject}.",
                    "tenant": tenant,
                    "until": moment_beside_utc(tenant.closes_at) if tenant.closes_at else "",
                    "erased": member.pk in alone,
                    "is_owner": member.role == Role.OWNER,
                    "link": public_link(reverse("tenant:detail")),
                    **context,
                },
                tenant_id=None if is_last else tenant.pk,
                once=once and f"{once} {member.user_id}",
            )
