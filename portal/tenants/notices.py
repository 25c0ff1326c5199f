"""Mails about events in a tenant: to its owners and managers, and to whom they named besides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core import signing
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.core.actors import Actor, ActorKind
from portal.core.dates import known_zone
from portal.core.links import public_link
from portal.core.rows import read
from portal.mail import outbox
from portal.mail.models import Outbox
from portal.tenants.models import (
    Member,
    NotificationPreferences,
    Recipient,
    Role,
    Tenant,
    Topic,
)

type Words = str | Callable[[], str]
"""What a mail says, or a function that returns it, called in the zone of each reader."""

SALT = "portal.notifications.stop"

KEY_MANAGERS = [Role.OWNER, Role.MANAGER]
"""The roles of those who may generate and reset license keys."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who gets a mail, and the footer that says why; `name` is their own among all notices.

    `zone` names the time zone of their profile.
    """

    email: str
    footer: str
    name: str
    zone: str = "UTC"


def key_managers(tenant_id: UUID) -> QuerySet[Member]:
    """Return the owners and managers of a tenant who can sign in."""
    return Member.objects.filter(tenant_id=tenant_id, role__in=KEY_MANAGERS, user__is_active=True)


def by(actor: Actor) -> str:
    """Return who acted, as customers know them."""
    unnamed = {ActorKind.OPERATOR: "the vendor", ActorKind.SYSTEM: "the portal"}
    if actor.kind == ActorKind.SERVICE_TOKEN:
        return f"the service token {actor.name}"
    return unnamed.get(actor.kind, actor.name)


def notify(
    tenant_id: UUID,
    *,
    topic: Topic | None,
    subject: str,
    template: str = "news",
    actor: Actor | None = None,
    once: str | None = None,
    owners_only: bool = False,
    **context: Any,
) -> None:
    """Queue a mail to everybody who gets mails of this topic, in the caller's transaction.

    The subject is the news, which `news.txt` repeats as a sentence. Whoever acted gets none.
    Without a topic it goes to all owners and managers, or to the owners alone, and to nobody
    besides. `once` names a notice that each of them gets only once. Moments in the mail are in the
    zone of its reader, if the template makes their words: what the context has may be a function.
    """
    preferences = preferences_of(tenant_id)
    if topic is not None and topic not in preferences.topics:
        return
    without = actor.user_id if actor else None
    readers = _members(preferences.tenant, without=without, owners_only=owners_only)
    if topic is not None:
        readers += _recipients(preferences.tenant)
    for reader in readers:
        with timezone.override(reader.zone):
            outbox.queue(
                to=reader.email,
                subject=subject,
                template=template,
                context={"what": f"{subject}.", **context},
                footer=reader.footer,
                tenant_id=tenant_id,
                once=once and f"{once}:{reader.name}",
            )


def addresses(tenant_id: UUID, topic: Topic, *, actor: Actor) -> list[str]:
    """Return the addresses to which `notify` would send a mail of this topic now."""
    preferences = preferences_of(tenant_id)
    if topic not in preferences.topics:
        return []
    readers = _members(preferences.tenant, without=actor.user_id) + _recipients(preferences.tenant)
    return [reader.email for reader in readers]


def notify_of_members(tenant: Tenant, news: str, *, actor: Actor) -> None:
    """Queue a mail that somebody joined, left, or has another role."""
    notify(
        tenant.pk,
        topic=Topic.MEMBERS,
        actor=actor,
        subject=news,
        lead="See the members",
        link=public_link(reverse("tenant:detail")),
    )


def preferences_of(tenant_id: UUID) -> NotificationPreferences:
    """Return what the tenant has chosen, or the defaults, not stored."""
    [tenant] = read(Tenant, id=tenant_id)
    chosen = read(NotificationPreferences, tenant=tenant_id)
    preferences = chosen[0] if chosen else NotificationPreferences()
    preferences.tenant = tenant
    return preferences


def were_notified(tenant_id: UUID, *, once: str) -> bool:
    """Return whether anybody who gets the tenant's mails now got the notice that `once` names."""
    tenant = Tenant.objects.get(pk=tenant_id)
    readers = _members(tenant, without=None) + _recipients(tenant)
    names = [f"{once}:{reader.name}" for reader in readers]
    return Outbox.objects.filter(dedupe_key__in=names).exists()


def _members(tenant: Tenant, *, without: UUID | None, owners_only: bool = False) -> list[Reader]:
    choose = public_link(reverse("tenant:notifications"))
    roles = [Role.OWNER] if owners_only else KEY_MANAGERS
    members = read(Member, tenant=tenant.pk, role=roles)
    named = {Role.OWNER: "an owner", Role.MANAGER: "a manager"}
    role_of = {m.user_id: named[Role(m.role)] for m in members if m.user_id != without}
    users = read(User, id=list(role_of), is_active=True) if role_of else []
    return [
        Reader(
            email=user.email,
            footer=f"You get this mail as {role_of[user.pk]} of {tenant}. "
            f"{outbox.CHOOSE}\n{choose}",
            name=str(user.pk),
            zone=known_zone(user.time_zone),
        )
        for user in users
    ]


def _recipients(tenant: Tenant) -> list[Reader]:
    return [
        Reader(
            email=recipient.email,
            footer=stop_footer(recipient, tenant),
            name=f"recipient {recipient.pk}",
        )
        for recipient in read(Recipient, tenant=tenant.pk, ended_at=None)
    ]


def stop_footer(recipient: Recipient, tenant: Tenant) -> str:
    """Return the footer of a mail to somebody who needs no account to stop it."""
    link = public_link(reverse("stop_notifications", args=[signed(recipient)]))
    return f"{tenant} chose to have this mail sent to {recipient.email}. {outbox.STOP}\n{link}"


def signed(recipient: Recipient) -> str:
    """Return what a link to stop the mails holds: it names the recipient and cannot be guessed."""
    return signing.dumps(recipient.pk, salt=SALT)


def recipient_of(token: str) -> Recipient | None:
    """Return the recipient that a link names, or None if the link or the recipient is no more."""
    try:
        key = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return Recipient.objects.active().select_related("tenant").filter(pk=key).first()
