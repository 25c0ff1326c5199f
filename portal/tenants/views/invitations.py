"""The pages that a mailed invitation leads to: nothing happens before a button is pressed."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from portal.accounts.flows.accounts import account_exists
from portal.accounts.models import User
from portal.accounts.pending_identity import INVITATION_IN_SESSION as IN_SESSION
from portal.accounts.pending_identity import end, invitation_flow, pending_identity
from portal.accounts.providers import sign_in_new, sign_out_to_go_on
from portal.accounts.requests import actor_of
from portal.programs.client_address import client_address
from portal.tenants.access import switch_to
from portal.tenants.flows.invitations import hashed, is_for, join_as_new_person, join_as_user
from portal.tenants.forms import JoinForm
from portal.tenants.links import LINKS
from portal.tenants.models import Invitation
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, too_many, uncached


@require_safe
@login_not_required
def open_invitation(request: HtmxRequest, secret: str) -> HttpResponse:
    """Remember the invitation of a valid link, and redirect to an address without the secret.

    Addresses are logged, kept in histories, and sent as referrers. A session is made for valid
    links only.
    """
    refused = too_many(request, LINKS)
    if refused is not None:
        return refused
    found = Invitation.objects.open().filter(token_sha256=hashed(secret)).first()
    if found is None:
        request.session.pop(IN_SESSION, None)
    else:
        request.session[IN_SESSION] = found.pk
    return uncached(redirect("accept_invitation"))


@require_form_methods
@login_not_required
def accept_invitation(request: HtmxRequest) -> HttpResponse:
    """Join the tenant: as the user who is signed in, or as a new one."""
    invitation = (
        Invitation.objects.open()
        .select_related("tenant", "invited_by")
        .filter(pk=request.session.get(IN_SESSION) or 0)
        .first()
    )
    if invitation is None:
        end(request, invitation_flow(request.session.pop(IN_SESSION, None)))
        return uncached(render(request, "invitations/gone.html", status=404))
    user = request.user if isinstance(request.user, User) else None
    if user is not None and is_for(invitation, user):
        return _accept(request, invitation, user)
    if user is not None and "log_out" in request.POST:
        sign_out_to_go_on(request, **{IN_SESSION: invitation.pk})
        return uncached(redirect("accept_invitation"))
    if user is not None or account_exists(invitation.email):
        return uncached(render(request, "invitations/sign_in.html", {"invitation": invitation}))
    return _join(request, invitation)


def _accept(request: HtmxRequest, invitation: Invitation, user: User) -> HttpResponse:
    form = ConfirmForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            join_as_user(invitation=invitation, user=user, actor=actor_of(request))
            _welcome(request, invitation)
            return uncached(redirect("home"))
    return form_page(request, "invitations/accept.html", form, {"invitation": invitation})


def _join(request: HtmxRequest, invitation: Invitation) -> HttpResponse:
    pending = pending_identity(request, invitation_flow(invitation.pk))
    form = JoinForm(posted(request), email=invitation.email, pending=pending)
    if form.is_valid():
        with refusals_on(form):
            member = join_as_new_person(
                invitation=invitation,
                identity=pending.account if pending else None,
                address=client_address(request),
                **form.cleaned_data,
            )
            response = sign_in_new(request, member.user, pending)
            _welcome(request, invitation)
            return uncached(response)
    context = {"invitation": invitation, "pending": pending}
    return form_page(request, "invitations/accept.html", form, context)


def _welcome(request: HtmxRequest, invitation: Invitation) -> None:
    request.session.pop(IN_SESSION, None)
    switch_to(request, invitation.tenant)
    messages.success(request, f"Welcome to {invitation.tenant}.")
