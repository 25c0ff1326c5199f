"""The pages that a mailed invitation leads to: nothing happens before a button is pressed."""

from allauth.socialaccount.models import SocialLogin
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import actor_of, switch_to
from portal.account_forms import JoinForm
from portal.account_views import sign_in_new
from portal.flows import invitations
from portal.flows.accounts import account_exists
from portal.forms import accepted, posted
from portal.identity import pending_identity
from portal.models import Invitation, User
from portal.network import client_address
from portal.pages import uncached
from portal.tenant_forms import ConfirmForm

IN_SESSION = "invitation_id"


@require_safe
@login_not_required
def open_invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Remember which invitation the link was for, and take its secret out of the address.

    Addresses are logged, kept in histories, and sent along as referrers.
    """
    found = Invitation.objects.filter(token_sha256=invitations.hashed(secret)).first()
    request.session[IN_SESSION] = found.pk if found else None
    return uncached(redirect("accept_invitation"))


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def accept_invitation(request: HttpRequest) -> HttpResponse:
    """Join the tenant: as the user who is signed in, or as a new one."""
    invitation = (
        Invitation.objects.open()
        .select_related("tenant", "invited_by")
        .filter(pk=request.session.get(IN_SESSION) or 0)
        .first()
    )
    if invitation is None:
        return uncached(render(request, "invitations/gone.html", status=404))
    user = request.user if isinstance(request.user, User) else None
    if user is not None and invitations.is_for(invitation, user):
        return _accept(request, invitation, user)
    if user is not None or account_exists(invitation.email):
        return uncached(render(request, "invitations/sign_in.html", {"invitation": invitation}))
    return _join(request, invitation)


def _accept(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    form = ConfirmForm(posted(request))
    if request.method == "POST" and accepted(
        form,
        lambda: invitations.accept_invitation(
            invitation=invitation, user=user, actor=actor_of(request)
        ),
    ):
        _welcome(request, invitation)
        return uncached(redirect("home"))
    return _page(request, invitation, form)


def _join(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    pending = pending_identity(request)
    form = JoinForm(posted(request), email=invitation.email, pending=pending)
    if request.method == "POST" and accepted(
        form,
        lambda: invitations.join(
            invitation=invitation,
            identity=pending.account if pending else None,
            address=client_address(request),
            **form.cleaned_data,
        ),
    ):
        user = User.objects.get(email=invitation.email)
        response = sign_in_new(request, user, pending)
        _welcome(request, invitation)
        return uncached(response)
    return _page(request, invitation, form, pending)


def _welcome(request: HttpRequest, invitation: Invitation) -> None:
    request.session.pop(IN_SESSION, None)
    switch_to(request, invitation.tenant)
    messages.success(request, f"Welcome to {invitation.tenant}.")


def _page(
    request: HttpRequest,
    invitation: Invitation,
    form: ConfirmForm | JoinForm,
    pending: SocialLogin | None = None,
) -> HttpResponse:
    context = {"invitation": invitation, "form": form, "pending": pending}
    status = 422 if form.errors else 200
    return uncached(render(request, "invitations/accept.html", context, status=status))
