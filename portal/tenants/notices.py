"""Mails about events in a tenant: to its owners and managers, and to whom they named besides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from portal.core.actors import Actor, ActorKind
from portal.core.dates import known_zone
from portal.core.links import public_link
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
    return Member.objects.filter(
        tenant_id=tenant_id, role__in=[Role.OWNER, Role.MANAGER], user__is_active=True
    )


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
    without = actor.user_id if actor else None
    if without is not None and _is_alone(tenant_id, without):
        return
    preferences = preferences_of(tenant_id)
    if topic is not None and topic not in preferences.topics:
        return
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


_ANYBODY_ELSE = """
SELECT 1 FROM portal_member WHERE tenant_id = %s AND user_id != %s
UNION ALL
SELECT 1 FROM portal_recipient WHERE tenant_id = %s AND ended_at IS NULL
LIMIT 1
"""


def _is_alone(tenant_id: UUID, user_id: UUID) -> bool:
    """Return whether the tenant has no member but this one, and nobody whom it named besides.

    In plain SQL, because it spares most changes of such a tenant three queries of the ORM.
    """
    adapt = Tenant._meta.pk.get_db_prep_value
    tenant, user = adapt(tenant_id, connection), adapt(user_id, connection)
    with connection.cursor() as cursor:
        cursor.execute(_ANYBODY_ELSE, [tenant, user, tenant])
        return cursor.fetchone() is None


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
    tenant = Tenant.objects.select_related("notification_preferences").get(pk=tenant_id)
    try:
        return tenant.notification_preferences
    except NotificationPreferences.DoesNotExist:
        return NotificationPreferences(tenant=tenant)


def were_notified(tenant_id: UUID, *, once: str) -> bool:
    """Return whether anybody who gets the tenant's mails now got the notice that `once` names."""
    tenant = Tenant.objects.get(pk=tenant_id)
    readers = _members(tenant, without=None) + _recipients(tenant)
    names = [f"{once}:{reader.name}" for reader in readers]
    return Outbox.objects.filter(dedupe_key__in=names).exists()


def _members(tenant: Tenant, *, without: UUID | None, owners_only: bool = False) -> list[Reader]:
    choose = public_link(reverse("tenant:notifications"))
    readers = tenant.memberships.owners() if owners_only else key_managers(tenant.pk)
    members = readers.values_list("user_id", "role", "user__email", "user__time_zone")
    return [
        Reader(
            email=email,
            footer=f"You get this mail as {'an' if role == Role.OWNER else 'a'} {role} of "
            f"{tenant}. {outbox.CHOOSE}\n{choose}",
            name=str(user_id),
            zone=known_zone(zone),
        )
        for user_id, role, email, zone in members
        if user_id != without
    ]


def _recipients(tenant: Tenant) -> list[Reader]:
    return [
        Reader(
            email=recipient.email,
            footer=stop_footer(recipient, tenant),
            name=f"recipient {recipient.pk}",
        )
        for recipient in Recipient.objects.active().filter(tenant=tenant)
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
