"""Pages about one's own account: sign up, profile, end a session, prove who one is."""

from typing import Any
from urllib.parse import urljoin

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.account.views import (
    BaseReauthenticateView,
    ConfirmEmailView,
    PasswordResetFromKeyView,
)
from allauth.core.ratelimit import consume_or_429
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import get_adapter as get_identity_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import TenantRequest, signed_in
from portal.account_forms import NameForm, NewAccountForm, SignUpForm
from portal.flows import accounts
from portal.forms import accepted, posted
from portal.identity import ask_for_proof, pending_identity, sign_in_pending
from portal.models import User
from portal.network import client_address
from portal.pages import uncached

form_page = require_http_methods(["GET", "HEAD", "POST"])
SALT = "portal.sign_up"
LINK_LIFE = 24 * 3600
"""Seconds for which the link of a sign-up works."""
IN_SESSION = "sign_up"


@form_page
@login_not_required
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask for an address and send a link to it: nothing exists before somebody opens that.

    Whether somebody signs in with the address already, the mail alone tells.
    """
    if request.user.is_authenticated:
        return redirect("home")
    if not settings.OPEN_SIGN_UP:
        context = {"pending": pending_identity(request)}
        return uncached(render(request, "account/signup_closed.html", context, status=403))
    form = SignUpForm(posted(request), initial={"email": _claimed_address(request)})
    if not (request.method == "POST" and form.is_valid()):
        return _page(request, "account/signup.html", form, pending=pending_identity(request))
    email = form.cleaned_data["email"].lower()
    refusal = consume_or_429(request, action="signup", key=email)
    if refusal is not None:
        return refusal
    _send_link(request, email)
    return uncached(redirect("account_email_verification_sent"))


def _claimed_address(request: HttpRequest) -> str:
    """Return the address that a provider names; it is verified like any other."""
    pending = pending_identity(request)
    return str(pending.account.extra_data["id_token"].get("email", "")) if pending else ""


def _send_link(request: HttpRequest, email: str) -> None:
    adapter = get_account_adapter(request)
    if accounts.account_exists(email):
        adapter.send_mail("account/email/account_already_exists", email, {})
    else:
        path = reverse("open_sign_up", args=[signing.dumps(email, salt=SALT)])
        link = {"link": urljoin(settings.PUBLIC_URL, path)}
        adapter.send_mail("account/email/sign_up", email, link)


@require_safe
@login_not_required
def open_sign_up(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the link, and take it out of the address, which is logged and kept in histories."""
    request.session[IN_SESSION] = token
    return uncached(redirect("complete_sign_up"))


@form_page
@login_not_required
def complete_sign_up(request: HttpRequest) -> HttpResponse:
    """Make the account and its tenant for the address that the link has verified."""
    email = _verified_address(request)
    if request.user.is_authenticated:
        return redirect("home")
    if email is None or not settings.OPEN_SIGN_UP or accounts.account_exists(email):
        return uncached(render(request, "account/signup_gone.html", status=404))
    pending = pending_identity(request)
    form = NewAccountForm(posted(request), email=email, pending=pending)
    if request.method == "POST" and accepted(
        form,
        lambda: accounts.sign_up(
            email=email,
            identity=pending.account if pending else None,
            address=client_address(request),
            **form.cleaned_data,
        ),
    ):
        del request.session[IN_SESSION]
        return uncached(sign_in_new(request, User.objects.get(email=email), pending))
    return _page(request, "account/signup_complete.html", form, pending=pending, email=email)


def _verified_address(request: HttpRequest) -> str | None:
    try:
        return str(signing.loads(request.session.get(IN_SESSION, ""), salt=SALT, max_age=LINK_LIFE))
    except signing.BadSignature:
        return None


def sign_in_new(request: HttpRequest, user: User, pending: SocialLogin | None) -> HttpResponse:
    """Sign in the user whose account was just made, with a password or with that identity."""
    if pending is not None:
        return sign_in_pending(request, pending, user)
    response: HttpResponse = perform_password_login(
        request, {"email": user.email}, Login(user=user, redirect_url="/")
    )
    return response


@form_page
@signed_in
def profile(request: TenantRequest) -> HttpResponse:
    """Show how one signs in and what others see of one; change the name."""
    user = get_object_or_404(User, pk=request.user.pk)
    form = NameForm(posted(request), instance=user)
    if request.method == "POST" and accepted(
        form,
        lambda: accounts.rename_user(
            user=request.user, name=form.cleaned_data["name"], actor=request.actor
        ),
    ):
        messages.success(request, "Your name is saved.")
        return uncached(redirect("profile:detail"))
    factors = Authenticator.objects.filter(user=user)
    return _page(
        request,
        "profile/detail.html",
        form,
        has_app=factors.filter(type=Authenticator.Type.TOTP).exists(),
        passkeys=factors.filter(type=Authenticator.Type.WEBAUTHN).count(),
        sessions=len(UserSession.objects.purge_and_list(user)),
        identities=SocialAccount.objects.filter(user=user).count(),
    )


@require_POST
@signed_in
def end_session(request: TenantRequest, session_id: int) -> HttpResponse:
    """End one of one's own sessions; the browser that has it is signed out at once."""
    session = get_object_or_404(UserSession, pk=session_id, user=request.user)
    end_sessions(request, [session])
    messages.success(request, "The session has ended.")
    return redirect("usersessions_list")


class ProveAtProviderView(BaseReauthenticateView):
    """Prove who one is at the identity provider: a button, then the provider asks."""

    form_class = forms.Form
    template_name = "socialaccount/reauthenticate.html"

    def form_valid(self, form: forms.Form) -> HttpResponse:  # noqa: ARG002 (it is empty)
        """Send the browser to the provider."""
        then: str = self.get_success_url()  # type: ignore[no-untyped-call]
        return ask_for_proof(self.request, self._provider(), then)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the provider, by whose name the button is called."""
        return super().get_context_data(**kwargs) | {"provider": self._provider()}

    def _provider(self) -> Any:
        return get_identity_adapter().get_provider(self.request, self.kwargs["provider_id"])


class VerifyEmailView(ConfirmEmailView):
    """allauth's page of a mailed link, without its one act on GET: to sign out somebody else."""

    def logout(self) -> None:
        """Sign out whoever is signed in as another person, once the button is pressed."""
        if self.request.method == "POST":
            super().logout()


class ChoosePasswordView(PasswordResetFromKeyView):
    """allauth's page of a mailed link, without its one act on GET: to sign out somebody else."""

    def logout(self) -> None:
        """Sign out whoever is signed in as another person, once the button is pressed."""
        if self.request.method == "POST":
            super().logout()


def _page(
    request: HttpRequest, template: str, form: forms.BaseForm, **context: Any
) -> HttpResponse:
    status = 422 if form.errors else 200
    return uncached(render(request, template, {"form": form, **context}, status=status))
