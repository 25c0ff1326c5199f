"""All models of this app: Django looks for them here."""

from portal.accounts.models import EmailChange, PasskeyCredential, User
from portal.activity.models import LogChain, LogEntry
from portal.mail.models import Heartbeat, Outbox
from portal.metrics.models import InstallationCount
from portal.operators.models import PendingChange
from portal.tenants.models import (
    Invitation,
    Member,
    NotificationPreferences,
    Recipient,
    Tenant,
)
from portal.webhooks.models import Attempt, Delivery, Endpoint, Event

__all__ = [
    "Attempt",
    "Delivery",
    "EmailChange",
    "Endpoint",
    "Event",
    "Heartbeat",
    "InstallationCount",
    "Invitation",
    "LogChain",
    "LogEntry",
    "Member",
    "NotificationPreferences",
    "Outbox",
    "PasskeyCredential",
    "PendingChange",
    "Recipient",
    "Tenant",
    "User",
]
