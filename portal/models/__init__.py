"""Tenants, the people in them, the log of what happened, and mail that is to go out."""

from portal.models.log import VENDOR, LogChain, LogEntry, LogEntryQuerySet
from portal.models.mail import Outbox, OutboxQuerySet
from portal.models.pending import PendingChange
from portal.models.people import (
    INVITATION_LIFE,
    RANKS,
    Invitation,
    InvitationQuerySet,
    Member,
    MemberQuerySet,
    Role,
    Tenant,
    User,
    UserManager,
    country_choices,
    validate_country,
    validate_tenant_name,
)

__all__ = [
    "INVITATION_LIFE",
    "RANKS",
    "VENDOR",
    "Invitation",
    "InvitationQuerySet",
    "LogChain",
    "LogEntry",
    "LogEntryQuerySet",
    "Member",
    "MemberQuerySet",
    "Outbox",
    "OutboxQuerySet",
    "PendingChange",
    "Role",
    "Tenant",
    "User",
    "UserManager",
    "country_choices",
    "validate_country",
    "validate_tenant_name",
]
