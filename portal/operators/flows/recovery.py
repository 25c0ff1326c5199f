"""Changes that wait for a day: request one, stop it, do those that are due."""

import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.second_factor import has_second_factor
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.activity.pseudonyms import Pseudonyms
from portal.core import email_addresses
from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox
from portal.mail.worker import do_each
from portal.operators.models import DELAY, Kind, Outcome, PendingChange
from portal.tenants.flows.invitations import hashed, offer
from portal.tenants.models import Member, Role, Tenant
from portal.tenants.open_tenants import refuse_closed


def remove_second_factor(
    *, user: User, actor: Actor, reason: str, now: datetime | None = None
) -> PendingChange:
    """Request the removal of the user's second factors after DELAY; return the pending change.

    The user and all owners of their tenants get a mail. Raises Refused for an operator's account,
    when there is no second factor, or when such a change is already pending.
    """
    _refuse_removal(user)
    factors = _ids(Authenticator.objects.filter(user=user))
    return _ask(Kind.REMOVE_SECOND_FACTOR, user, "", factors, actor, reason, now)


def replace_owner(
    *, tenant: Tenant, email: str, actor: Actor, reason: str, now: datetime | None = None
) -> PendingChange:
    """Request another owner for the tenant after DELAY; return the pending change.

    All owners and the new one get a mail. Raises Refused when the tenant has several owners who
    can sign in, when the address is already an owner's, or when such a change is already pending.
    """
    refuse_closed(tenant)
    owners = tenant.memberships.filter(role=Role.OWNER).select_related("user")
    if sum(owner.user.is_active for owner in owners) > 1:
        raise Refused(f"{tenant} has several owners: one of them can replace another.")
    email = email_addresses.admitted(email).lower()
    if owners.filter(email_addresses.same("user__email", email)).exists():
        raise Refused(f"{email} is the owner already.", field="email")
    return _ask(Kind.REPLACE_OWNER, tenant, email, _ids(owners), actor, reason, now)


@transaction.atomic
def cancel(
    *, change: PendingChange, actor: Actor, reason: str, now: datetime | None = None
) -> PendingChange:
    """Stop the change and return it; raises Refused when it was done or stopped meanwhile."""
    locked = PendingChange.objects.select_for_update().get(pk=change.pk)
    if locked.outcome != Outcome.WAITING:
        assert locked.finished_at is not None
        raise Refused(
            f"This was {locked.get_outcome_display().lower()} on {moment(locked.finished_at)}."
        )
    _finish(locked, Outcome.STOPPED, reason, now or timezone.now())
    _record(locked, actor, Action.CHANGE_STOPPED, reason, now)
    return locked


def run_due(*, now: datetime | None = None) -> list[PendingChange]:
    """Do the changes whose delay is over, each in a transaction of its own, and return them.

    Each is checked again: the account or tenant, and whether the requester still has the right.
    """
    now = now or timezone.now()
    due = list(PendingChange.objects.due(now).values_list("pk", flat=True))
    return do_each(due, lambda pk: _run(pk, now), what="Pending change")


def drop_changes(tenant: Tenant, _names: Pseudonyms) -> None:
    """Remove what was asked for a tenant that was closed: it names people."""
    PendingChange.objects.filter(tenant=tenant).delete()


def by_secret(secret: str) -> PendingChange | None:
    """Return the change whose mail holds this secret, or None."""
    return PendingChange.objects.filter(token_sha256=hashed(secret)).first()


def _ask(
    kind: Kind,
    of: User | Tenant,
    email: str,
    removes: list[str],
    actor: Actor,
    reason: str,
    now: datetime | None,
) -> PendingChange:
    assert actor.user_id is not None, "an operator asks"
    now, secret = now or timezone.now(), secrets.token_urlsafe(32)
    change = PendingChange(
        kind=kind,
        user=of if isinstance(of, User) else None,
        tenant=of if isinstance(of, Tenant) else None,
        email=email,
        removes=removes,
        reason=reason,
        requested_by=User.objects.get(pk=actor.user_id),
        created_at=now,
        due_at=now + DELAY,
        token_sha256=hashed(secret),
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                change.save(force_insert=True)
        except IntegrityError as error:
            raise Refused(f"Such a change of {of} is already pending.") from error
        _queue_announcement(change, secret)
        _record(change, actor, Action.CHANGE_ASKED, reason, now)
    return change


@transaction.atomic
def _run(pk: UUID, now: datetime) -> PendingChange:
    change = PendingChange.objects.select_for_update().get(pk=pk)
    if change.outcome != Outcome.WAITING:  # somebody stopped it, or another process was faster
        return change
    requester = change.requested_by
    actor = Actor(
        kind=ActorKind.OPERATOR,
        name=requester.get_short_name(),
        user_id=requester.pk,
        email=requester.email,
    )
    try:
        with transaction.atomic():
            _refuse_requester(requester, change)
            before, after = _replace(change, actor, now) if change.tenant else _remove(change)
            _finish(change, Outcome.DONE, "", now)
            _record(change, actor, Action.CHANGE_DONE, change.reason, now, before, after)
            _mail(change, "change_done")
    except Refused as refusal:
        _finish(change, Outcome.REFUSED, refusal.sentence, now)
        _record(change, actor, Action.CHANGE_STOPPED, refusal.sentence, now)
    return change


RIGHTS = {
    Kind.REMOVE_SECOND_FACTOR: "portal.change_user",
    Kind.REPLACE_OWNER: "portal.change_member",
}
"""What an operator needs to ask for a change, and still to have when it is done."""


def _refuse_requester(requester: User, change: PendingChange) -> None:
    right = RIGHTS[Kind(change.kind)]
    if not (requester.is_active and requester.is_staff and requester.has_perm(right)):
        raise Refused(f"{requester}, who asked for this, may no longer do so.")


def _refuse_removal(user: User) -> None:
    if user.is_staff or user.is_superuser:
        raise Refused("An operator's second factor is removed by no other operator.")
    if not has_second_factor(user.pk):
        raise Refused(f"{user} has no second factor.")


def _remove(change: PendingChange) -> tuple[Any, Any]:
    assert change.user is not None
    _refuse_removal(lock(User, change.user.pk))
    factors = Authenticator.objects.filter(user_id=change.user.pk)
    if _has_others(change, factors):
        raise Refused(f"{change.user} has set up a second factor or recovery codes since.")
    before = sorted(factors.values_list("type", flat=True))
    factors.delete()
    return {"second factors": before}, {"second factors": []}


def _replace(change: PendingChange, actor: Actor, now: datetime) -> tuple[Any, Any]:
    """Make the member with the address owner in place of the last one, or invite the address."""
    assert change.tenant is not None
    tenant = lock(Tenant, change.tenant.pk)
    refuse_closed(tenant)
    owners = tenant.memberships.filter(role=Role.OWNER).select_related("user")
    if sum(owner.user.is_active for owner in owners) > 1:
        raise Refused(f"{tenant} has several owners by now.")
    if any(owner.user.email.lower() == change.email.lower() for owner in owners):
        raise Refused(f"{change.email} is the owner already.")
    if _has_others(change, owners.filter(user__is_active=True)):
        raise Refused(f"{tenant} has another owner by now.")
    before = {"owners": [owner.user.email for owner in owners]}
    same = email_addresses.same("user__email", change.email)
    new = tenant.memberships.filter(same, user__is_active=True).first()
    if new is None:
        offer(tenant=tenant, email=change.email, role=Role.OWNER, actor=actor, now=now)
        return before, {**before, "invited_owner": change.email}
    owners.exclude(pk=new.pk).update(role=Role.VIEWER)
    new.role = Role.OWNER
    new.save(update_fields=["role"])
    return before, {"owners": [change.email]}


def _ids(rows: QuerySet[Any]) -> list[str]:
    return sorted(str(pk) for pk in rows.values_list("pk", flat=True))


def _has_others(change: PendingChange, rows: QuerySet[Any]) -> bool:
    """Return whether there are rows now that were not there when the change was asked for."""
    return change.removes is not None and not set(_ids(rows)) <= set(change.removes)


def _finish(change: PendingChange, outcome: Outcome, reason: str, now: datetime) -> None:
    change.outcome, change.outcome_reason, change.finished_at = outcome, reason[:500], now
    change.save(update_fields=["outcome", "outcome_reason", "finished_at"])


def _record(
    change: PendingChange,
    actor: Actor,
    action: Action,
    reason: str,
    now: datetime | None,
    before: Any = None,
    after: Any = None,
) -> None:
    """Record the change in the log of the tenant, or of each tenant of the user."""
    details = {
        "change": change.get_kind_display(),
        "of": str(change.user or change.tenant),
        "id": str(change.pk),
        "before": before or {},
        "after": after or {"due": change.due_at.isoformat(), "outcome": change.outcome},
    }
    if change.email:
        details["new owner"] = change.email
    for tenant_id in _tenants(change) or [VENDOR]:
        record(
            actor=actor,
            action=action,
            tenant_id=tenant_id,
            reason=reason,
            details=details,
            now=now,
        )


def _tenants(change: PendingChange) -> list[UUID]:
    """Return the tenants concerned; in one order, because their logs are locked."""
    if change.user is None:
        assert change.tenant is not None
        return [change.tenant.pk]
    memberships = Member.objects.filter(user_id=change.user.pk)
    return list(memberships.order_by("tenant_id").values_list("tenant_id", flat=True))


def _queue_announcement(change: PendingChange, secret: str) -> None:
    """Queue the mail that says what will happen and how to stop it."""
    link = public_link(reverse("open_cancellation", args=[secret]))
    _mail(change, "pending_change", due=moment(change.due_at, UTC), link=link)


def _mail(change: PendingChange, template: str, **context: Any) -> None:
    """Queue a mail to the person concerned and to all owners."""
    owners = Member.objects.owners().filter(tenant_id__in=_tenants(change))
    people = {*owners.values_list("user__email", flat=True)}
    people.add(change.user.email if change.user else change.email)
    for to in sorted(people):
        outbox.queue(
            to=to,
            subject=f"{change.get_kind_display()}: {change.user or change.tenant}",
            template=template,
            context={"change": change, **context},
            tenant_id=change.tenant_id,
        )
