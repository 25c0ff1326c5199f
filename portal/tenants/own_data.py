"""What the portal stores about a person, for themselves."""

from collections.abc import Iterable
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db.models import Model

from portal.accounts.models import User
from portal.activity.changes import described
from portal.activity.models import VENDOR, LogEntry
from portal.core import email_addresses
from portal.tenants.models import Invitation

MAX_LOG_ROWS = 10_000
"""Newest rows of the log in an export, for each tenant; its owners can export all of them."""

SECRET = {"password", "session_epoch"}
"""Fields of an account that are no data about the person."""

LOGGED = (
    "at",
    "action",
    "actor_name",
    "actor_email",
    "subscription_id",
    "subscription_name",
    "slot",
    "result",
    "reason",
    "details",
    "address",
)


def own_data(user: User) -> dict[str, Any]:
    """Return all data about the person as JSON values; moments are ISO 8601 in UTC.

    Neither secrets nor their hashes are part of it.
    """
    memberships = list(user.memberships.select_related("tenant").order_by("pk"))
    sent = Invitation.objects.filter(invited_by=user).select_related("tenant").order_by("pk")
    received = Invitation.objects.filter(email_addresses.same("email", user.email))
    return {
        "account": described(
            user, [field.name for field in User._meta.fields if field.name not in SECRET]
        ),
        "email_addresses": _all(
            EmailAddress.objects.filter(user=user), "email", "verified", "primary"
        ),
        "changes_of_email_address": _all(
            user.email_changes.order_by("pk"), "before", "after", "asked_at", "done_at", "state"
        ),
        "factors": [
            described(factor, ["type", "created_at", "last_used_at"])
            | {"name": factor.data.get("name", "")}
            for factor in Authenticator.objects.filter(user=user).order_by("pk")
        ],
        "identities": _all(
            SocialAccount.objects.filter(user=user),
            *("provider", "uid", "last_login", "date_joined", "extra_data"),
        ),
        "sessions": _all(
            UserSession.objects.filter(user=user).order_by("pk"),
            *("created_at", "last_seen_at", "ip", "user_agent"),
        ),
        "memberships": [
            described(member, ["tenant", "role", "joined_at"])
            | {"tenant_id": str(member.tenant_id)}
            for member in memberships
        ],
        "invitations_sent": _all(sent, *INVITED),
        "invitations_received": _all(
            received.select_related("tenant", "invited_by").order_by("pk"), *INVITED, "invited_by"
        ),
        "log": [
            {"tenant": name, **described(entry, LOGGED)}
            for tenant_id, name in [*((m.tenant_id, m.tenant.name) for m in memberships), VENDORS]
            for entry in LogEntry.objects.for_tenant(tenant_id).by_actor(user.pk)[:MAX_LOG_ROWS]
        ],
    }


INVITED = ("tenant", "email", "role", "created_at", "expires_at", "accepted_at", "revoked_at")
VENDORS = (VENDOR, "")


def _all(rows: Iterable[Model], *names: str) -> list[dict[str, Any]]:
    return [described(row, names) for row in rows]
