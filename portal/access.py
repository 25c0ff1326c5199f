"""Tenant of the request, roles, recent proof: the decorators that views declare."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate

from allauth.account.internal.flows.login import get_authentication_records
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from portal import support_view
from portal.actors import Actor
from portal.models import Member, Role, Tenant, User
from portal.network import client_address
from portal.second_factor import has_second_factor
from portal.support_view import SupportView

PROOF_LIFE = timedelta(minutes=15)
"""How long a proof of who one is counts for reset, delete and member changes."""

TENANT_IN_SESSION = "tenant_id"
KEPT_FORM = "kept_form"


class TenantRequest(HttpRequest):
    """A request of a member, as views behind `tenant_role` get it."""

    user: User
    memberships: list[Member]
    member: Member
    tenant: Tenant
    actor: Actor
    support_view: SupportView | None
    htmx: HtmxDetails


type View[**P] = Callable[Concatenate[TenantRequest, P], HttpResponseBase]


def attach(request: HttpRequest) -> None:
    """Put who acts and for whom on the request; read from the database when used."""
    seen = SimpleLazyObject(lambda: support_view.current(request))
    request.support_view = seen  # type: ignore[attr-defined]
    memberships = SimpleLazyObject(lambda: _memberships_of(request))
    member = SimpleLazyObject(lambda: seen.member if seen else _chosen(memberships, request))
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
    own = Member.objects.filter(user_id=request.user.pk)
    return list(own.select_related("tenant").order_by("pk"))


def _chosen(memberships: Iterable[Member], request: HttpRequest) -> Member | None:
    """Return the membership under which the user acts: the session's tenant, else the first."""
    own = list(memberships)
    chosen = request.session.get(TENANT_IN_SESSION) if own else None
    return next((m for m in own if str(m.tenant_id) == chosen), own[0] if own else None)


def switch_to(request: HttpRequest, tenant: Tenant) -> None:
    """Go on in this tenant, of which the user must be a member.

    A form that was kept for after a proof belonged to the tenant of before.
    """
    request.session[TENANT_IN_SESSION] = str(tenant.pk)
    request.session.pop(KEPT_FORM, None)


NAMED_BY = {
    "subscription_id": "subscriptions",
    "member_id": "memberships",
    "invitation_id": "invitations",
}
"""Arguments of addresses that name something of a tenant, with the relation that leads to it."""


def other_tenant_named(request: HttpRequest) -> Tenant | None:
    """Return the other tenant of the user's whose thing this request names, if it names one."""
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


def actor_of(request: HttpRequest) -> Actor:
    """Return who acts in this request, as flows and the log take it."""
    return signed_in_user(request).as_actor(client_address(request))


def signed_in_user(request: HttpRequest) -> User:
    """Return the user of a request that needs one."""
    user = request.user
    assert isinstance(user, User), "only signed-in people act"
    return user


def end_support_view_at_sign_out(request: HttpRequest | None, **_signal: Any) -> None:
    """End the support view of an operator who signs out."""
    if request is not None and support_view.IN_SESSION in request.session:
        support_view.end(request, actor=actor_of(request), how="sign-out")


def tenant_role[**P](
    role: Role, *, shows_tenant: bool = True
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Admit members whose role is at least `role`; everybody else gets 403 and a sentence.

    Who lacks a second factor that the tenant requires is led to set one up before anything of the
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


def hidden_from_support[V: Callable[..., HttpResponseBase]](view: V) -> V:
    """Refuse this view in a support view although it only reads: it records or reveals."""
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


def signed_in[**P](view: Callable[P, HttpResponseBase]) -> Callable[P, HttpResponseBase]:
    """Declare that a view is about the person who is signed in, whatever their roles."""
    view.for_signed_in = True  # type: ignore[attr-defined]
    return view


def recent_proof[**P](view: View[P]) -> Callable[..., HttpResponseBase]:
    """Accept a POST only when the last proof of who one is is younger than PROOF_LIFE.

    Stands below `tenant_role`. What was typed is kept in the session, filled in again after the
    proof (`kept_form`) and pressed again by the person, never replayed.
    """

    @wraps(view)
    def guarded(request: TenantRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method == "POST" and not is_recently_proven(request):
            return _ask_for_proof(request)
        return view(request, *args, **kwargs)

    return guarded


def is_recently_proven(request: HttpRequest) -> bool:
    """Return whether the last proof in this session is recent enough.

    Signing in counts, but not at an identity provider: it may have let somebody in without asking
    for anything. Its answer to a request for proof counts.
    """
    user = request.user
    proofs = [
        proof.get("at", 0)
        for proof in get_authentication_records(request, user if user.is_authenticated else None)
        if proof["method"] != "socialaccount" or proof.get("reauthenticated")
    ]
    return bool(time.time() - max(proofs, default=0) < PROOF_LIFE.total_seconds())


def proof_address(then: str) -> str:
    """Return where one proves who one is, to go on at `then`."""
    return reverse("account_reauthenticate", query={"next": then})


def _ask_for_proof(request: TenantRequest) -> HttpResponse:
    typed = {k: v for k, v in request.POST.items() if k != "csrfmiddlewaretoken"}
    request.session[KEPT_FORM] = {"path": request.path, "values": typed}
    messages.info(request, "Please confirm that it is you. What you chose is kept.")
    address = proof_address(request.path)
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


def kept_form(request: HttpRequest) -> dict[str, str] | None:
    """Return, once, what was typed on this path before a proof was asked for."""
    kept = request.session.get(KEPT_FORM)
    if not kept or kept["path"] != request.path:
        return None
    del request.session[KEPT_FORM]
    return dict(kept["values"])
