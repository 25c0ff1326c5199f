"""Pages about the tenant: its rules and members; switching to another one."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from portal.accounts.proof import kept_form, purpose, recent_proof
from portal.mail.outbox import undelivered
from portal.tenants.access import (
    TenantRequest,
    hidden_from_support,
    posted_for_tenant,
    switch_to,
    tenant_role,
)
from portal.tenants.flows.invitations import invite_member, resend_invitation, revoke_invitation
from portal.tenants.flows.members import change_role, hand_over, leave_tenant, remove_member
from portal.tenants.flows.tenants import update_tenant
from portal.tenants.forms import HandOverForm, InviteForm, RoleForm, TenantForm
from portal.tenants.models import Invitation, Member, Role
from portal.web.forms import ConfirmForm, refusals_on, require_form_methods
from portal.web.pages import done, elsewhere, form_page, page

CHANGED = "tenant-changed"
ROLES = (
    "Viewers see, download and check. Managers also activate, generate, reset and delete. Owners "
    "may do everything, and change members too."
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a dialog says: consequence first, and a button that repeats it."""

    title: str
    text: str
    button: str
    is_dangerous: bool = False
    leads_to: str = ""
    """Address of what must be done first; the button is a link to it then."""


@require_safe
@tenant_role(Role.VIEWER)
def detail(request: TenantRequest) -> HttpResponse:
    """Show the tenant with its members and, to owners, the invitations that nobody accepted."""
    is_owner = request.member.may(Role.OWNER)
    members = request.tenant.memberships.select_related("user").order_by("user__name", "pk")
    context = {
        "members": members.with_sign_in() if is_owner else members,
        "invitations": _invitations(request) if is_owner else [],
        "is_owner": is_owner,
        "is_last_owner": is_owner and request.member.is_last_owner(),
        "may_manage": request.member.may(Role.MANAGER),
    }
    return page(request, "tenant/detail.html", context, fragment="tenant")


def _invitations(request: TenantRequest) -> list[Invitation]:
    """Return the invitations that nobody accepted, each with its mail if that did not arrive."""
    rows = request.tenant.invitations.pending().select_related("invited_by").order_by("pk")
    invitations: list[Any] = list(rows.with_openness())
    lost = undelivered(request.tenant.pk, [each.email for each in invitations])
    for invitation in invitations:
        mail = lost.get(invitation.email)
        is_its = mail is not None and mail.created_at >= invitation.created_at
        invitation.undelivered = mail if is_its else None
    return invitations


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"change {request.tenant}")
def edit(request: TenantRequest) -> HttpResponse:
    """Change the tenant's name, country and rules."""
    kept = kept_form(request)
    # Browsers do not post a checkbox that is not ticked.
    initial = {"requires_two_factor": False} | kept if kept else {}
    form = TenantForm(posted_for_tenant(request), instance=request.tenant, initial=initial)
    if form.is_valid():
        with refusals_on(form):
            update_tenant(tenant=request.tenant, actor=request.actor, **form.cleaned_data)
            return _done(request, "The tenant was changed.")
    words = Words(
        title=f"Change {request.tenant}",
        text="The name appears in the mails that invite people.",
        button="Save tenant",
    )
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"invite somebody to {request.tenant}")
def invite(request: TenantRequest) -> HttpResponse:
    """Invite somebody by email."""
    initial = kept_form(request) or {"role": request.GET.get("role", Role.VIEWER)}
    form = InviteForm(posted_for_tenant(request), initial=initial)
    if form.is_valid():
        with refusals_on(form):
            invite_member(
                tenant=request.tenant,
                email=form.cleaned_data["email"],
                role=Role(form.cleaned_data["role"]),
                actor=request.actor,
            )
            return _done(request, "The invitation is on its way.")
    words = Words(
        title=f"Invite somebody to {request.tenant}", text=ROLES, button="Send invitation"
    )
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, **_: f"revoke an invitation to {request.tenant}")
def revoke(request: TenantRequest, invitation_id: int) -> HttpResponse:
    """Revoke an invitation that was not accepted yet."""
    invitation = get_object_or_404(request.tenant.invitations.pending(), pk=invitation_id)
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            revoke_invitation(invitation=invitation, actor=request.actor)
            return _done(request, f"The invitation of {invitation.email} was revoked.")
    words = Words(
        title="Revoke invitation",
        text=f"The link that was sent to {invitation.email} stops working.",
        button="Revoke invitation",
        is_dangerous=True,
    )
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, **_: f"send an invitation to {request.tenant} again")
def resend(request: TenantRequest, invitation_id: int) -> HttpResponse:
    """Send an invitation once more, with a new link."""
    invitation = get_object_or_404(request.tenant.invitations.pending(), pk=invitation_id)
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            resend_invitation(invitation=invitation, actor=request.actor)
            return _done(request, f"A new invitation is on its way to {invitation.email}.")
    words = Words(
        title="Send invitation again",
        text=f"{invitation.email} gets a new link that works for 7 days. The link that was sent "
        "before stops working.",
        button="Send invitation again",
    )
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, member_id: f"change the role of {_member(request, member_id).user}")
def change(request: TenantRequest, member_id: int) -> HttpResponse:
    """Give a member another role."""
    member = _member(request, member_id)
    form = RoleForm(posted_for_tenant(request), initial=kept_form(request) or {"role": member.role})
    if form.is_valid():
        with refusals_on(form):
            role = Role(form.cleaned_data["role"])
            change_role(member=member, role=role, actor=request.actor)
            return _done(request, f"The role of {member.user} was changed.")
    words = Words(title=f"Role of {member.user}", text=ROLES, button="Save role")
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request, member_id: f"remove {_member(request, member_id).user}")
def remove(request: TenantRequest, member_id: int) -> HttpResponse:
    """Remove a member."""
    member = _member(request, member_id)
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            remove_member(member=member, actor=request.actor)
            return _done(request, f"{member.user} is no longer a member.")
    words = Words(
        title=f"Remove {member.user}",
        text=f"{member.user} loses access to {request.tenant} at once, in open sessions too. "
        "What they did stays in the log, and license keys that they generated go on working.",
        button="Remove member",
        is_dangerous=True,
    )
    return _dialog(request, form, words)


@require_form_methods
@tenant_role(Role.OWNER)
@recent_proof
@purpose(lambda request: f"hand over {request.tenant}")
def hand_over_ownership(request: TenantRequest) -> HttpResponse:
    """Make another member an owner, and oneself a manager."""
    kept = kept_form(request) or {}
    form = HandOverForm(posted_for_tenant(request), member=request.member, initial=kept)
    if form.is_valid():
        with refusals_on(form):
            hand_over(to=form.cleaned_data["to"], actor=request.actor)
            return _done(request, "The ownership was handed over. You are a manager now.")
    if not form.fields["to"].queryset.exists():  # type: ignore[attr-defined]
        return _dialog(request, form, _invite_first(request))
    words = Words(
        title=f"Hand over {request.tenant}",
        text="The member that you choose becomes an owner, and you a manager. Only an owner "
        "can make you an owner again.",
        button="Hand over ownership",
        is_dangerous=True,
    )
    return _dialog(request, form, words)


def _invite_first(request: TenantRequest) -> Words:
    return Words(
        title=f"Hand over {request.tenant}",
        text="Nobody else is a member yet. Invite the next owner; once they have joined, hand over "
        "or leave.",
        button="Invite the next owner…",
        leads_to=reverse("tenant:invite", query={"role": Role.OWNER}),
    )


@hidden_from_support
@require_form_methods
@tenant_role(Role.VIEWER)
@recent_proof
@purpose(lambda request: f"leave {request.tenant}")
def leave(request: TenantRequest) -> HttpResponse:
    """End one's own membership."""
    form = ConfirmForm(posted_for_tenant(request))
    if form.is_valid():
        with refusals_on(form):
            leave_tenant(tenant=request.tenant, actor=request.actor)
            messages.success(request, f"You have left {request.tenant}.")
            return elsewhere(request, reverse("home"))
    title = f"Leave {request.tenant}"
    if request.member.is_last_owner():
        words = Words(
            title=title,
            text="You are the last owner, and a tenant always has one. Hand over, then leave; or "
            "close the tenant.",
            button="Hand over ownership…",
            leads_to=reverse("tenant:hand_over"),
        )
    else:
        text = "You lose access at once. Only an owner can invite you again."
        words = Words(title=title, text=text, button="Leave tenant", is_dangerous=True)
    return _dialog(request, form, words)


@require_POST
@tenant_role(Role.VIEWER, shows_tenant=False)
def switch(request: TenantRequest) -> HttpResponse:
    """Switch to another tenant of the user, whose identifier is kept in the session."""
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


def _member(request: TenantRequest, member_id: int) -> Member:
    return get_object_or_404(request.tenant.memberships.select_related("user"), pk=member_id)


def _done(request: TenantRequest, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return done(request, reverse("tenant:detail"), event=CHANGED)


def _dialog(request: TenantRequest, form: forms.BaseForm, words: Words) -> HttpResponse:
    context = {"words": words, "back": reverse("tenant:detail")}
    return form_page(request, "tenant/dialog.html", form, context, fragment="dialog")
