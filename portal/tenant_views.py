"""Pages about the tenant: its rules, members and invitations; switching to another one."""

from collections.abc import Callable
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import (
    TenantRequest,
    hidden_from_support,
    kept_form,
    recent_proof,
    switch_to,
    tenant_role,
)
from portal.flows import invitations, members, tenants
from portal.forms import accepted, posted
from portal.models import Role
from portal.pages import done, elsewhere, page
from portal.tenant_forms import ConfirmForm, HandOverForm, InviteForm, RoleForm, TenantForm

CHANGED = "tenant-changed"
form_page = require_http_methods(["GET", "HEAD", "POST"])


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a dialog says: consequence first, and a button that repeats it."""

    title: str
    text: str
    button: str
    is_dangerous: bool = False


@require_safe
@tenant_role(Role.VIEWER)
def detail(request: TenantRequest) -> HttpResponse:
    """Show the tenant with its members and, to owners, the open invitations."""
    is_owner = request.member.may(Role.OWNER)
    context = {
        "members": request.tenant.memberships.select_related("user").order_by("user__name", "pk"),
        "invitations": request.tenant.invitations.open().select_related("invited_by").order_by("pk")
        if is_owner
        else [],
        "is_owner": is_owner,
    }
    return page(request, "tenant/detail.html", context, fragment="tenant")


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def edit(request: TenantRequest) -> HttpResponse:
    """Change the tenant's name, country and rules."""
    kept = kept_form(request)
    # A box that was not ticked is not among what was posted.
    initial = {"requires_two_factor": False} | kept if kept else {}
    form = TenantForm(posted(request), instance=request.tenant, initial=initial)
    return _dialog(
        request,
        form,
        Words(
            title=f"Change {request.tenant}",
            text="Names of tenants stand in the mails that invite people.",
            button="Save tenant",
        ),
        lambda: tenants.update_tenant(
            tenant=request.tenant, actor=request.actor, **form.cleaned_data
        ),
        told="The tenant was changed.",
    )


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def invite(request: TenantRequest) -> HttpResponse:
    """Invite somebody by email."""
    form = InviteForm(posted(request), initial=kept_form(request) or {})
    return _dialog(
        request,
        form,
        Words(
            title=f"Invite somebody to {request.tenant}",
            text="Viewers see, download and check. Managers also activate, generate, reset and "
            "delete. Owners may do everything, and change members too.",
            button="Send invitation",
        ),
        lambda: invitations.invite(
            tenant=request.tenant,
            email=form.cleaned_data["email"],
            role=Role(form.cleaned_data["role"]),
            actor=request.actor,
        ),
        told="The invitation is on its way.",
    )


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def revoke(request: TenantRequest, invitation_id: int) -> HttpResponse:
    """Revoke an invitation that was not accepted yet."""
    invitation = get_object_or_404(request.tenant.invitations.pending(), pk=invitation_id)
    return _dialog(
        request,
        ConfirmForm(posted(request)),
        Words(
            title="Revoke invitation",
            text=f"The link that was sent to {invitation.email} stops working.",
            button="Revoke invitation",
            is_dangerous=True,
        ),
        lambda: invitations.revoke_invitation(invitation=invitation, actor=request.actor),
        told=f"The invitation of {invitation.email} was revoked.",
    )


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def change_role(request: TenantRequest, member_id: int) -> HttpResponse:
    """Give a member another role."""
    member = get_object_or_404(request.tenant.memberships.select_related("user"), pk=member_id)
    form = RoleForm(posted(request), initial=kept_form(request) or {"role": member.role})
    return _dialog(
        request,
        form,
        Words(
            title=f"Role of {member.user}",
            text="Viewers see, download and check. Managers also activate, generate, reset and "
            "delete. Owners may do everything, and change members too.",
            button="Save role",
        ),
        lambda: members.change_role(
            member=member, role=Role(form.cleaned_data["role"]), actor=request.actor
        ),
        told=f"The role of {member.user} was changed.",
    )


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def remove_member(request: TenantRequest, member_id: int) -> HttpResponse:
    """Remove a member."""
    member = get_object_or_404(request.tenant.memberships.select_related("user"), pk=member_id)
    return _dialog(
        request,
        ConfirmForm(posted(request)),
        Words(
            title=f"Remove {member.user}",
            text=f"{member.user} loses access to {request.tenant} at once, in open sessions too. "
            "What they did stays in the log, and license keys that they generated go on working.",
            button="Remove member",
            is_dangerous=True,
        ),
        lambda: members.remove_member(member=member, actor=request.actor),
        told=f"{member.user} is no longer a member.",
    )


@form_page
@tenant_role(Role.OWNER)
@recent_proof
def hand_over(request: TenantRequest) -> HttpResponse:
    """Make another member an owner, and oneself a manager."""
    form = HandOverForm(posted(request), member=request.member, initial=kept_form(request) or {})
    return _dialog(
        request,
        form,
        Words(
            title=f"Hand over {request.tenant}",
            text="You become a manager. Only an owner can make you an owner again.",
            button="Hand over ownership",
            is_dangerous=True,
        ),
        lambda: members.hand_over(to=form.cleaned_data["to"], actor=request.actor),
        told="The ownership was handed over. You are a manager now.",
    )


@hidden_from_support
@form_page
@tenant_role(Role.VIEWER)
@recent_proof
def leave(request: TenantRequest) -> HttpResponse:
    """End one's own membership."""
    return _dialog(
        request,
        ConfirmForm(posted(request)),
        Words(
            title=f"Leave {request.tenant}",
            text="You lose access at once. Only an owner can invite you again.",
            button="Leave tenant",
            is_dangerous=True,
        ),
        lambda: members.leave(tenant=request.tenant, actor=request.actor),
        told=f"You have left {request.tenant}.",
        to=reverse("home"),
    )


@require_POST
@tenant_role(Role.VIEWER, shows_tenant=False)
def switch(request: TenantRequest) -> HttpResponse:
    """Go on in another tenant of the user's: its identifier is kept in the session."""
    chosen = request.POST.get("tenant")
    member = next((m for m in request.memberships if str(m.tenant_id) == chosen), None)
    if member is None:
        raise Http404
    switch_to(request, member.tenant)
    messages.info(request, f"You are in {member.tenant} now.")
    to = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        to, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(to if is_ours else reverse("home"))


def _dialog(
    request: TenantRequest,
    form: forms.BaseForm,
    words: Words,
    act: Callable[[], object],
    *,
    told: str,
    to: str = "",
) -> HttpResponse:
    """Show the form, or run the flow when it was posted; `to` is where one goes afterwards.

    The form names the tenant it was made for: one that was opened before the person switched, in
    another window, must not change the tenant they are in now.
    """
    if request.method == "POST":
        if request.POST.get("tenant", str(request.tenant.pk)) != str(request.tenant.pk):
            raise Http404
        if accepted(form, act):
            messages.success(request, told)
            if to:
                return elsewhere(request, to)
            return done(request, reverse("tenant:detail"), event=CHANGED)
    return page(
        request,
        "tenant/dialog.html",
        {"form": form, "words": words},
        fragment="dialog",
        status=422 if form.errors else 200,
    )
