"""The support view: an operator sees the portal as a tenant's viewer does, for half an hour.

The operator stays signed in with their own account and changes nothing: `SupportViewMiddleware`
asks `may_answer` before every view. Its beginning and end are recorded in the tenant's log.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.tenants.models import Member, Role, Tenant

MINUTES = 30
LIFE = timedelta(minutes=MINUTES)
PERMISSION = "portal.support_tenant"
IN_SESSION = "support_view"


@dataclass(frozen=True, kw_only=True)
class SupportView:
    """The tenant that an operator views; `member` is a viewer that is not stored."""

    tenant: Tenant
    member: Member
    reason: str
    until: datetime

    def is_over(self) -> bool:
        """Return whether the time limit has passed."""
        return timezone.now() >= self.until


def current(request: HttpRequest) -> SupportView | None:
    """Return the support view of the session, even if it is over, if the user may have one."""
    kept = request.session.get(IN_SESSION)
    user = request.user
    if not kept or not isinstance(user, User) or not user.is_staff:
        return None
    tenant = Tenant.objects.filter(pk=kept["tenant"], closed_at=None).first()
    if tenant is None or not user.has_perm(PERMISSION):
        return None
    return SupportView(
        tenant=tenant,
        member=Member(tenant=tenant, user=user, role=Role.VIEWER),
        reason=kept["reason"],
        until=datetime.fromisoformat(kept["until"]),
    )


@transaction.atomic
def start(*, request: HttpRequest, tenant: Tenant, actor: Actor, reason: str) -> None:
    """Begin a support view, recorded in the tenant's log; an earlier one ends."""
    end(request, actor=actor, how="another support view")
    until = timezone.now() + LIFE
    record(
        actor=actor,
        action=Action.SUPPORT_VIEW_STARTED,
        tenant_id=tenant.pk,
        reason=reason,
        details={"until": until.isoformat()},
    )
    request.session[IN_SESSION] = {
        "tenant": str(tenant.pk),
        "reason": reason,
        "until": until.isoformat(),
    }


@transaction.atomic
def end(request: HttpRequest, *, actor: Actor, how: str) -> Tenant | None:
    """End the session's support view, recorded in the tenant's log; return the tenant."""
    ended = current(request)
    request.session.pop(IN_SESSION, None)
    if ended is None:
        return None
    record(
        actor=actor,
        action=Action.SUPPORT_VIEW_ENDED,
        tenant_id=ended.tenant.pk,
        reason=ended.reason,
        details={"ended_by": how},
    )
    return ended.tenant


CLOSED = ("accounts/", "invitations/", "notifications/", "objections/")
"""How addresses begin that are open to everybody, and closed in a support view."""


def is_unaffected(request: HttpRequest, view: Any) -> bool:
    """Return whether an address is the same with and without a support view.

    The admin is the operator's own work, and signing out is always possible. Pages that are open
    to everybody show no tenant, except account pages and those that links of mails lead to.
    """
    match = request.resolver_match
    if match is None or match.app_names[:1] == ["admin"] or match.view_name == "account_logout":
        return True
    is_open = not getattr(view, "login_required", True)
    return is_open and not match.route.startswith(CLOSED)


def may_answer(request: HttpRequest, view: Any) -> bool:
    """Return whether a support view may show this: what a viewer reads, and nothing else.

    Views that declare no role concern only the user (sign-in, profile, second factors, sessions);
    `hidden_from_support` marks those that only read, but record or reveal something.
    """
    return (
        request.method in {"GET", "HEAD"}
        and isinstance(getattr(view, "role", None), Role)
        and not getattr(view, "is_hidden_from_support", False)
    )
