"""Invitations: invite an address, revoke, accept, join as a person without an account."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from portal.accounts.flows.accounts import TAKEN, new_user, store_account
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core import email_addresses
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox
from portal.tenants.flows.members import refuse_unless_owner
from portal.tenants.models import (
    INVITATION_LIFE,
    Invitation,
    Member,
    Role,
    Tenant,
    validate_tenant_name,
)
from portal.tenants.notices import notify_of_members
from portal.tenants.open_tenants import refuse_closing

MAX_A_DAY = 20
"""Invitations of one tenant in 24 hours: its owners must not send mail to the whole world."""

DAY = timedelta(days=1)


@transaction.atomic
def invite_member(
    *, tenant: Tenant, email: str, role: Role, actor: Actor, now: datetime | None = None
) -> Invitation:
    """Offer membership to an address by a mail with a link, and return the invitation.

    Raises Refused when the actor is no longer an owner, and as `offer` does.
    """
    now = now or timezone.now()
    locked = lock(Tenant, tenant.pk)
    refuse_unless_owner(locked, actor)
    invitation = offer(tenant=locked, email=email, role=role, actor=actor, now=now)
    record(
        actor=actor,
        action=Action.MEMBER_INVITED,
        tenant_id=locked.pk,
        details={"email": invitation.email, "role": role},
        now=now,
    )
    return invitation


def offer(*, tenant: Tenant, email: str, role: Role, actor: Actor, now: datetime) -> Invitation:
    """Store and mail an invitation and return it; the caller records it in the log.

    `tenant` is locked. Only a hash of the link's secret is kept. Raises Refused when somebody with
    the address is a member or has an open invitation, when the tenant sent MAX_A_DAY in 24
    hours, when no mail can be sent to the address, or when the tenant's name must not appear in
    a mail to strangers.
    """
    assert actor.user_id is not None, "a person invites"
    refuse_closing(tenant)
    email = email_addresses.admitted(email).lower()
    _refuse_unless_invitable(tenant, email, now)
    secret = secrets.token_urlsafe(32)
    # An invitation that can no longer be accepted makes room for the new one.
    tenant.invitations.pending().filter(email_addresses.same("email", email)).update(revoked_at=now)
    invitation = Invitation.objects.create(
        tenant=tenant,
        email=email,
        role=role,
        token_sha256=hashed(secret),
        invited_by=User.objects.get(pk=actor.user_id),
        created_at=now,
        expires_at=now + INVITATION_LIFE,
    )
    _queue_mail(invitation, secret, actor)
    return invitation


@transaction.atomic
def revoke_invitation(
    *, invitation: Invitation, actor: Actor, reason: str = "", now: datetime | None = None
) -> Invitation:
    """Make the mailed link invalid and return the invitation; operators give a reason.

    Raises Refused when the actor is no longer an owner, or when it was accepted meanwhile.
    """
    tenant = lock(Tenant, invitation.tenant_id)
    refuse_unless_owner(tenant, actor)
    locked = Invitation.objects.get(pk=invitation.pk)
    if locked.accepted_at is not None:
        raise Refused(f"{locked.email} accepted on {moment(locked.accepted_at)} and is a member.")
    if locked.revoked_at is not None:
        return locked
    locked.revoked_at = now or timezone.now()
    locked.save(update_fields=["revoked_at"])
    record(
        actor=actor,
        action=Action.INVITATION_REVOKED,
        tenant_id=tenant.pk,
        reason=reason,
        details={"email": locked.email, "role": locked.role},
        now=locked.revoked_at,
    )
    return locked


@transaction.atomic
def resend_invitation(
    *, invitation: Invitation, actor: Actor, reason: str = "", now: datetime | None = None
) -> Invitation:
    """Replace an invitation by a new one with another link, mail it, and return it.

    Operators give a reason.
    Raises Refused when the actor is no longer an owner, when it was accepted or revoked meanwhile,
    and as `offer` does.
    """
    now = now or timezone.now()
    tenant = lock(Tenant, invitation.tenant_id)
    refuse_unless_owner(tenant, actor)
    locked = tenant.invitations.pending().filter(pk=invitation.pk).first()
    if locked is None:
        raise Refused(f"The invitation of {invitation.email} was used or revoked meanwhile.")
    locked.revoked_at = now
    locked.save(update_fields=["revoked_at"])
    role = Role(locked.role)
    new = offer(tenant=tenant, email=locked.email, role=role, actor=actor, now=now)
    record(
        actor=actor,
        action=Action.INVITATION_RESENT,
        tenant_id=tenant.pk,
        reason=reason,
        details={"email": new.email, "role": new.role},
        now=now,
    )
    return new


@transaction.atomic
def join_as_user(
    *, invitation: Invitation, user: User, actor: Actor, now: datetime | None = None
) -> Member:
    """Make the user a member and return the membership.

    Raises Refused when the invitation is not (or no longer) open, when the user did not verify the
    address it was sent to, or is already a member.
    """
    now = now or timezone.now()
    tenant = lock(Tenant, invitation.tenant_id)
    locked = _still_open(invitation, now)
    refuse_closing(tenant)
    if not is_for(locked, user):
        raise Refused(f"This invitation is for {locked.email}. Sign in with that address.")
    if tenant.memberships.filter(user=user).exists():
        raise Refused(f"You are a member of {tenant} already. Your role stays as it is.")
    member = Member.objects.create(tenant=tenant, user=user, role=locked.role, joined_at=now)
    locked.accepted_at = now
    locked.save(update_fields=["accepted_at"])
    record(
        actor=actor,
        action=Action.MEMBER_JOINED,
        tenant_id=tenant.pk,
        details={"email": locked.email, "role": locked.role},
        now=now,
    )
    news = f"{user} joined {tenant} as {member.get_role_display().lower()}"
    notify_of_members(tenant, news, actor=actor)
    return member


def join_as_new_person(
    *,
    invitation: Invitation,
    name: str,
    password: str | None,
    identity: SocialAccount | None = None,
    address: str = "",
    now: datetime | None = None,
) -> Member:
    """Make an account for the invited address, and its owner a member; return the membership.

    Whoever holds the mailed link has proven the address, so it counts as verified. They sign in
    with the password, or with the identity at a provider. `address` is the network address for
    the log. Raises Refused as `join_as_user` does, and when somebody already signs in with the
    address.
    """
    user = new_user(email=invitation.email, name=name, password=password)
    try:
        with transaction.atomic():
            lock(Tenant, invitation.tenant_id)
            store_account(user=user, identity=identity)
            return join_as_user(
                invitation=invitation, user=user, actor=user.as_actor(address), now=now
            )
    except IntegrityError as error:  # somebody signed up with the address at the same moment
        raise Refused(TAKEN) from error


def hashed(secret: str) -> str:
    """Return what is kept of a link's secret: SHA-256, hex. It is random, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_for(invitation: Invitation, user: User) -> bool:
    """Return whether the user has verified the address that the invitation was sent to."""
    verified = EmailAddress.objects.filter(user=user, verified=True)
    return verified.filter(email_addresses.same("email", invitation.email)).exists()


def _refuse_unless_invitable(tenant: Tenant, email: str, now: datetime) -> None:
    try:
        validate_tenant_name(tenant.name)
    except ValidationError as error:
        raise Refused(f"Rename the tenant first. {error.message}") from error
    if tenant.memberships.filter(email_addresses.same("user__email", email)).exists():
        raise Refused(f"{email} is a member already.", field="email")
    standing = tenant.invitations.open(now).filter(email_addresses.same("email", email)).first()
    if standing is not None:
        raise Refused(
            f"{email} has an invitation until {moment(standing.expires_at)}. Revoke it to send "
            "another.",
            field="email",
        )
    if tenant.invitations.filter(created_at__gt=now - DAY).count() >= MAX_A_DAY:
        raise Refused(f"{tenant} has sent {MAX_A_DAY} invitations in 24 hours. Wait a day.")


def _queue_mail(invitation: Invitation, secret: str, actor: Actor) -> None:
    """Put the mail with the link into the outbox.

    It names the sender by the verified address too: anybody may call themselves anything.
    """
    context = {
        "inviter": f"{actor.name} ({actor.email})",
        "tenant": invitation.tenant.name,
        "role": invitation.get_role_display().lower(),
        "email": invitation.email,
        "until": moment(invitation.expires_at, UTC),
        "link": public_link(reverse("open_invitation", args=[secret])),
    }
    outbox.queue(
        to=invitation.email,
        subject=f"{actor.name} invites you to {invitation.tenant.name}",
        template="invitation",
        context=context,
        tenant_id=invitation.tenant_id,
    )


def _still_open(invitation: Invitation, now: datetime) -> Invitation:
    there = Invitation.objects.open(now).filter(pk=invitation.pk).first()
    if there is None:
        raise Refused("This invitation was used or revoked, or it is too old.")
    return there
