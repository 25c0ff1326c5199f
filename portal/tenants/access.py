"""Tenant and roles of the request: the decorators that views declare."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django_htmx.http import HttpResponseClientRedirect

from portal.accounts.models import User
from portal.accounts.proof import KEPT_FORM
from portal.accounts.requests import actor_of
from portal.accounts.second_factor import has_second_factor
from portal.core.actors import Actor
from portal.tenants import support_view
from portal.tenants.models import Member, Role, Tenant
from portal.tenants.support_view import SupportView
from portal.web.forms import posted
from portal.web.pages import HtmxRequest

TENANT_IN_SESSION = "tenant_id"


class TenantRequest(HtmxRequest):
    """A request of a member, as views behind `tenant_role` get it."""

    user: User
    memberships: list[Member]
    member: Member
    tenant: Tenant
    actor: Actor
    support_view: SupportView | None


type View[**P] = Callable[Concatenate[TenantRequest, P], HttpResponseBase]


def attach(request: HttpRequest) -> None:
    """Set who acts, and for which tenant, on the request; read from the database when used."""
    current = SimpleLazyObject(lambda: support_view.current(request))
    request.support_view = current  # type: ignore[attr-defined]
    memberships = SimpleLazyObject(lambda: _memberships_of(request))
    member = SimpleLazyObject(
        lambda: _noted(request, current.member if current else _chosen(memberships, request))
    )
    request.memberships = memberships  # type: ignore[attr-defined]
    request.member = member  # type: ignore[attr-defined]
    request.tenant = SimpleLazyObject(  # type: ignore[attr-defined]
        lambda: member.tenant if member else None
    )
    request.actor = SimpleLazyObject(lambda: actor_of(request))  # type: ignore[attr-defined]


def _memberships_of(request: HttpRequest) -> list[Member]:
    """Return the user's memberships, the oldest first.

    They are read at every request, so that a removed member loses access at the next one.
    """
    if not request.user.is_authenticated:
        return []
    own = Member.objects.filter(user_id=request.user.pk, tenant__closed_at=None)
    return list(own.select_related("tenant").order_by("pk"))


def _chosen(memberships: Iterable[Member], request: HttpRequest) -> Member | None:
    """Return the membership under which the user acts: the session's tenant, else the first."""
    own = list(memberships)
    chosen = request.session.get(TENANT_IN_SESSION) if own else None
    return next((m for m in own if str(m.tenant_id) == chosen), own[0] if own else None)


def _noted(request: HttpRequest, member: Member | None) -> Member | None:
    """Leave the tenant's identifier for the lines of logs, which must not read anything."""
    request.tenant_id = member.tenant_id if member else None  # type: ignore[attr-defined]
    return member


def switch_to(request: HttpRequest, tenant: Tenant) -> None:
    """Make this the tenant of the session; the user must be a member of it.

    A form that was kept during a proof is dropped: it belongs to the previous tenant.
    """
    request.session[TENANT_IN_SESSION] = str(tenant.pk)
    request.session.pop(KEPT_FORM, None)


NAMED_BY = {
    "subscription_id": "subscriptions",
    "member_id": "memberships",
    "invitation_id": "invitations",
    "token_id": "service_tokens",
    "endpoint_id": "webhook_endpoints",
}
"""Arguments of addresses that name something of a tenant, with the relation that leads to it."""


def other_tenant_named(request: HttpRequest) -> Tenant | None:
    """Return another tenant of the user that owns what this request names, if there is one."""
    match, own = request.resolver_match, getattr(request, "memberships", ())
    if match is None or len(own) < 2:
        return None
    named = {NAMED_BY[name]: match.kwargs[name] for name in match.kwargs if name in NAMED_BY}
    if not named and "subscription" in request.GET:
        named = {"subscriptions": request.GET["subscription"]}
    if not named and "tenant" in request.POST:
        named = {"pk": request.POST["tenant"]}
    others = Tenant.objects.filter(pk__in=[m.tenant_id for m in own])
    try:
        return others.exclude(pk=request.tenant.pk).filter(**named).first() if named else None  # type: ignore[attr-defined]
    except ValidationError:  # text of an address that is no identifier
        return None


def end_support_view_at_sign_out(request: HttpRequest | None, **_signal: Any) -> None:
    """End the support view of an operator who signs out."""
    if request is not None and support_view.IN_SESSION in request.session:
        support_view.end(request, actor=actor_of(request), how="sign-out")


def tenant_role[**P](
    role: Role, *, shows_tenant: bool = True
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Admit members whose role is at least `role`; everybody else gets 403 and a sentence.

    Members without a second factor that the tenant requires must set one up before anything of the
    tenant is shown.
    """

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: TenantRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.member:
                raise PermissionDenied(
                    "You are not a member of any tenant. Ask an owner of yours to invite you."
                )
            if not request.member.may(role):
                raise PermissionDenied(_needs(request.member, role))
            if shows_tenant and _lacks_second_factor(request):
                return _ask_for_second_factor(request)
            return view(request, *args, **kwargs)

        guarded.role = role  # type: ignore[attr-defined]
        return guarded

    return decorate


def posted_for_tenant(request: TenantRequest) -> QueryDict | None:
    """Return what was posted for this tenant.

    The form names the tenant it was made for: one that was opened before the person switched, in
    another window, must not change the tenant they are in now (404).
    """
    data, own = posted(request), str(request.tenant.pk)
    if data is not None and data.get("tenant", own) != own:
        raise Http404
    return data


def hidden_from_support[V: Callable[..., HttpResponseBase]](view: V) -> V:
    """Refuse this view in a support view: though it only reads, it records or reveals something."""
    view.is_hidden_from_support = True  # type: ignore[attr-defined]
    return view


def _needs(member: Member, role: Role) -> str:
    return (
        f"Your role in {member.tenant} is {member.get_role_display().lower()}; this needs the "
        f"role {role.label.lower()}. Ask an owner to change your role."
    )


def _lacks_second_factor(request: TenantRequest) -> bool:
    return request.tenant.requires_two_factor and not has_second_factor(request.user.pk)


def _ask_for_second_factor(request: TenantRequest) -> HttpResponse:
    messages.info(
        request,
        f"{request.tenant} requires a second factor. Set up an authenticator app or add a passkey "
        "to go on.",
    )
    address = reverse("mfa_index")
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
