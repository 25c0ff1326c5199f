"""Pages of a tenant's owners: service tokens, made, rotated and revoked."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.accounts.proof import kept_post, purpose, recent_proof
from portal.core.dates import days_until
from portal.tenants.access import TenantRequest, posted_for_tenant, tenant_role
from portal.tenants.models import Role
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.pages import done, form_page, page, with_secret
from subscriptions.service_tokens.flows import make_token, revoke_token, rotate_token
from subscriptions.service_tokens.forms import MakeForm, RevokeForm, RotateForm
from subscriptions.service_tokens.models import REMINDERS, Scope, ServiceToken, TokenState

CHANGED = "service-tokens-changed"

MAX_ENDED = 20
"""Tokens that no longer work and are listed; the log tells of all."""

MAX_NAMED = 3
"""Subscriptions that the list names for a token."""

TONES = {TokenState.ACTIVE: "good", TokenState.OVERLAPPING: "warn"}
"""Colours of the badges of states; the others are muted."""


@dataclass(frozen=True)
class Row:
    """A token in the list, with its state at the time of the request."""

    token: ServiceToken
    state: TokenState
    now: datetime

    @property
    def ends_soon(self) -> str:
        """When it ends, once owners are reminded of that, or "": "Ends in 10 days"."""
        days = days_until(self.token.works_until, self.now)
        if days > max(REMINDERS):
            return ""
        return "Ends in 1 day" if days == 1 else f"Ends in {days} days"

    @property
    def tone(self) -> str:
        """The colour of the badge."""
        return TONES.get(self.state, "muted")

    @property
    def scopes(self) -> list[Scope]:
        """What it may do; a scope that this release does not know is left out."""
        return [scope for scope in Scope if self.token.allows(scope)]

    @property
    def reach(self) -> str:
        """Which subscriptions it reaches, a few by name; reads none if they were prefetched."""
        if self.token.for_all_subscriptions:
            return "all subscriptions"
        chosen = [str(one) for one in self.token.chosen.all()]
        more = f" and {len(chosen) - MAX_NAMED} more" if len(chosen) > MAX_NAMED else ""
        return f"{', '.join(chosen[:MAX_NAMED])}{more}" or "no subscription"

    @property
    def may_rotate(self) -> bool:
        """Whether it can be rotated."""
        return self.state == TokenState.ACTIVE


@require_safe
@tenant_role(Role.OWNER)
def listing(request: TenantRequest) -> HttpResponse:
    """Show the tenant's tokens, those that work first."""
    now = timezone.now()
    tokens = request.tenant.service_tokens.prefetch_related("chosen")
    context = {
        "working": [Row(token, token.state_at(now), now) for token in tokens.working(now)],
        "ended": [Row(token, token.state_at(now), now) for token in tokens.ended(now)[:MAX_ENDED]],
    }
    return page(request, "service_tokens/list.html", context, fragment="tokens")


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"make a service token of {request.tenant}")
def make(request: TenantRequest) -> HttpResponse:
    """Make a token, and show its secret once."""
    form = MakeForm(posted_for_tenant(request), tenant=request.tenant, initial=_kept(request))
    if form.is_valid():
        with refusals_on(form):
            token, raw = make_token(tenant=request.tenant, actor=request.actor, **form.cleaned_data)
            return _shown_once(request, token, raw)
    return form_page(request, "service_tokens/make.html", form)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, **_: f"rotate a service token of {request.tenant}")
def rotate(request: TenantRequest, token_id: UUID) -> HttpResponse:
    """Make a token's successor, and show its secret once."""
    token = get_object_or_404(request.tenant.service_tokens, pk=token_id)
    form = RotateForm(posted(request), initial=_kept(request))
    if form.is_valid():
        with refusals_on(form):
            new, raw = rotate_token(
                token=token, overlap=form.cleaned_data["overlap"], actor=request.actor
            )
            token.refresh_from_db()
            return _shown_once(request, new, raw, old=token)
    return form_page(request, "service_tokens/rotate.html", form, {"token": token})


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, **_: f"revoke a service token of {request.tenant}")
def revoke(request: TenantRequest, token_id: UUID) -> HttpResponse:
    """Revoke a token."""
    token = get_object_or_404(request.tenant.service_tokens, pk=token_id)
    form = RevokeForm(posted(request), initial=_kept(request))
    if form.is_valid():
        with refusals_on(form):
            revoke_token(token=token, actor=request.actor, reason=form.cleaned_data["reason"])
            messages.success(request, f"{token} was revoked. Programs that use it are refused.")
            return done(request, reverse("service_tokens:list"), event=CHANGED)
    context = {"token": token, "predecessors": token.working_predecessors(timezone.now())}
    return form_page(request, "service_tokens/revoke.html", form, context, fragment="dialog")


def _kept(request: TenantRequest) -> dict[str, object] | None:
    """Return what was typed before a proof was asked for."""
    kept = kept_post(request)
    if kept is None:
        return None
    return {**kept.dict(), "scopes": kept.getlist("scopes")}


def _shown_once(
    request: TenantRequest, token: ServiceToken, raw: str, old: ServiceToken | None = None
) -> HttpResponse:
    """Show the secret on a page that is neither kept nor compressed."""
    context = {"token": token, "raw": raw, "old": old}
    return with_secret(page(request, "service_tokens/shown.html", context))
