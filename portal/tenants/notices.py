"""Mails about events in a tenant, to the owners and managers who manage its license keys."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from portal.mail import outbox
from portal.mail.models import Outbox
from portal.tenants.models import Member, Role


def key_managers(tenant_id: UUID) -> QuerySet[Member]:
    """Return the owners and managers of a tenant who can sign in."""
    return Member.objects.filter(
        tenant_id=tenant_id, role__in=[Role.OWNER, Role.MANAGER], user__is_active=True
    ).select_related("user")


def notify_key_managers(
    tenant_id: UUID, *, subject: str, template: str, once: str | None = None, **context: Any
) -> None:
    """Queue a mail to each owner and manager, in the caller's transaction.

    `once` names a notice that each of them gets only once.
    """
    for member in key_managers(tenant_id):
        outbox.queue(
            to=member.user.email,
            subject=subject,
            template=template,
            context=context,
            tenant_id=tenant_id,
            once=once and _name(once, member),
        )


def were_notified(tenant_id: UUID, *, once: str) -> bool:
    """Return whether a current owner or manager got the notice that `once` names."""
    names = [_name(once, member) for member in key_managers(tenant_id)]
    return Outbox.objects.filter(dedupe_key__in=names).exists()


def _name(once: str, member: Member) -> str:
    return f"{once}:{member.user_id}"
