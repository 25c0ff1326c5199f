"""Pages about one's own account: profile, sessions, proof."""

from typing import Any

from allauth.account.views import (
    BaseReauthenticateView,
    ConfirmEmailView,
    PasswordResetFromKeyView,
)
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from portal.accounts.allauth_internals import end_sessions
from portal.accounts.flows.accounts import rename_user
from portal.accounts.forms import NameForm
from portal.accounts.models import User
from portal.accounts.providers import ask_for_proof, configured_provider
from portal.accounts.requests import actor_of, signed_in, signed_in_user
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, uncached


@require_form_methods
@signed_in
def profile(request: HtmxRequest) -> HttpResponse:
    """Show how one signs in and what others see of one; change the name."""
    user = get_object_or_404(User, pk=request.user.pk)
    form = NameForm(posted(request), instance=user)
    if form.is_valid():
        with refusals_on(form):
            name = form.cleaned_data["name"]
            rename_user(user=signed_in_user(request), name=name, actor=actor_of(request))
            messages.success(request, "Your name is saved.")
            return uncached(redirect("profile:detail"))
    factors = Authenticator.objects.filter(user=user)
    context = {
        "has_app": factors.filter(type=Authenticator.Type.TOTP).exists(),
        "passkeys": factors.filter(type=Authenticator.Type.WEBAUTHN).count(),
        "sessions": len(UserSession.objects.purge_and_list(user)),
        "identities": SocialAccount.objects.filter(user=user).count(),
    }
    return form_page(request, "profile/detail.html", form, context)


@require_POST
@signed_in
def end_session(request: HtmxRequest, session_id: int) -> HttpResponse:
    """End one of one's own sessions; the browser that has it is signed out at once."""
    session = get_object_or_404(UserSession, pk=session_id, user=request.user)
    end_sessions(request, [session])
    messages.success(request, "The session has ended.")
    return redirect("usersessions_list")


class ProveAtProviderView(BaseReauthenticateView):
    """Prove who one is at the identity provider: a button, then the provider asks."""

    form_class = forms.Form
    template_name = "socialaccount/reauthenticate.html"

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Send the browser to the provider."""
        then: str = self.get_success_url()  # type: ignore[no-untyped-call]
        return ask_for_proof(self.request, self._provider(), then)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the provider, by whose name the button is called."""
        return super().get_context_data(**kwargs) | {"provider": self._provider()}

    def _provider(self) -> Any:
        return configured_provider(self.request, self.kwargs["provider_id"])


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
