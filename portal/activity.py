"""The log: one append-only row in the caller's transaction for everything that happens."""

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import TextChoices
from django.utils import timezone

from portal.actors import Actor
from portal.models import VENDOR, LogChain, LogEntry


class Action(TextChoices):
    """What a log row tells; the label is how people read it."""

    SUBSCRIPTION_ACTIVATED = "subscription.activated", "Subscription activated"
    SUBSCRIPTION_STARTED = "subscription.started", "Community subscription started"
    SUBSCRIPTION_RENAMED = "subscription.renamed", "Subscription renamed"
    SUBSCRIPTION_CHANGED = "subscription.changed", "Subscription changed"
    KEYS_GENERATED = "license_keys.generated", "License keys generated"
    KEYS_DELETED = "license_keys.deleted", "License keys deleted"
    KEY_DOWNLOADED = "license_key.downloaded", "License key downloaded"
    KEY_CHECKED = "license_key.checked", "License key checked"
    KEY_RESET = "license_key.reset", "License key reset"
    KEY_REVOKED = "license_key.revoked", "License key revoked"
    OVERLAP_ENDED = "license_key.overlap_ended", "Overlap ended"
    SIGNING_KEY_CREATED = "signing_key.created", "Signing key created"
    SIGNING_KEY_ACTIVATED = "signing_key.activated", "Signing key activated"
    SIGNING_KEY_DISABLED = "signing_key.disabled", "Signing key disabled"
    SIGNED_IN = "person.signed_in", "Signed in"
    PERSON_RENAMED = "person.renamed", "Name changed"
    PASSWORD_CHANGED = "person.password_changed", "Password changed"
    EMAIL_CHANGED = "person.email_changed", "Email address changed"
    TWO_FACTOR_ON = "person.two_factor_on", "Authenticator app set up"
    TWO_FACTOR_OFF = "person.two_factor_off", "Authenticator app removed"
    PASSKEY_ADDED = "person.passkey_added", "Passkey added"
    PASSKEY_REMOVED = "person.passkey_removed", "Passkey removed"
    RECOVERY_CODES_MADE = "person.recovery_codes_made", "Recovery codes made"
    RECOVERY_CODES_REMOVED = "person.recovery_codes_removed", "Recovery codes removed"
    IDENTITY_CONNECTED = "person.identity_connected", "Identity provider connected"
    IDENTITY_DISCONNECTED = "person.identity_disconnected", "Identity provider disconnected"
    TENANT_CREATED = "tenant.created", "Tenant created"
    TENANT_CHANGED = "tenant.changed", "Tenant changed"
    MEMBER_INVITED = "member.invited", "Member invited"
    INVITATION_REVOKED = "invitation.revoked", "Invitation revoked"
    MEMBER_JOINED = "member.joined", "Member joined"
    MEMBER_ROLE_CHANGED = "member.role_changed", "Role changed"
    MEMBER_REMOVED = "member.removed", "Member removed"
    MEMBER_LEFT = "member.left", "Member left"
    OWNERSHIP_HANDED_OVER = "tenant.handed_over", "Ownership handed over"
    LOG_PRUNED = "log.pruned", "Old log rows removed"
    TENANT_OPENED = "tenant.opened", "Tenant opened"
    SUBSCRIPTION_ADDED = "subscription.added", "Subscription added"
    CHANGE_ASKED = "change.asked", "Change asked for"
    CHANGE_STOPPED = "change.stopped", "Change stopped"
    CHANGE_DONE = "change.done", "Change done after its delay"
    OPERATOR_CHANGED = "operator.changed", "Operator's groups changed"
    SUPPORT_VIEW_STARTED = "support_view.started", "Support view started"
    SUPPORT_VIEW_ENDED = "support_view.ended", "Support view ended"
    RECORD_ADDED = "record.added", "Record added"
    RECORD_CHANGED = "record.changed", "Record changed"


class Subject(Protocol):
    """What a row may be about: a subscription, as far as the log copies it."""

    name: str

    @property
    def pk(self) -> Any:
        """The identifier of the subscription."""


def record(
    *,
    actor: Actor,
    action: Action,
    tenant_id: UUID = VENDOR,
    subscription: Subject | None = None,
    slot: str = "",
    result: str = "",
    reason: str = "",
    details: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> LogEntry:
    """Append one row to the tenant's chain and return it.

    Must run in the transaction of what it tells, after the rows it tells of were locked (locks
    are taken in one order: subscription, tenant, chain). Raises TransactionManagementError outside
    a transaction.
    """
    connection = transaction.get_connection()
    connection.validate_no_broken_transaction()
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "A log row is recorded in the transaction of what it tells."
        )
    chain = _locked_chain(tenant_id)
    entry = LogEntry(
        tenant_id=tenant_id,
        seq=chain.count + 1,
        at=now or timezone.now(),
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name[:200],
        actor_email=actor.email,
        action=action,
        subscription_id=subscription.pk if subscription else None,
        subscription_name=subscription.name if subscription else "",
        slot=slot,
        result=result,
        reason=reason,
        details=details or {},
        address=actor.address[:45],
        previous=chain.head,
    )
    entry.hash = chained_hash(entry)
    entry.save(force_insert=True)
    chain.count, chain.head = entry.seq, entry.hash
    chain.save(update_fields=["count", "head"])
    return entry


def chained_hash(entry: LogEntry) -> str:
    """Return HMAC-SHA-256 (hex, key LOG_KEY) of everything in the row but its hash."""
    columns = [f.attname for f in entry._meta.concrete_fields if f.attname not in {"id", "hash"}]
    told = {name: _canonical(getattr(entry, name)) for name in columns}
    message = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(settings.LOG_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000)
    return str(value) if isinstance(value, UUID) else value


def _locked_chain(tenant_id: UUID) -> LogChain:
    LogChain.objects.bulk_create([LogChain(tenant_id=tenant_id)], ignore_conflicts=True)
    return LogChain.objects.select_for_update().get(pk=tenant_id)
