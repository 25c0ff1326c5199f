"""Pages about one's own account: profile, sessions, proof."""

from typing import Any, override

from allauth.account.adapter import get_adapter
from allauth.account.forms import UserTokenForm
from allauth.account.models import get_emailconfirmation_model
from allauth.account.views import (
    INTERNAL_RESET_SESSION_KEY,
    BaseReauthenticateView,
    ConfirmEmailView,
    PasswordResetFromKeyView,
)
from allauth.mfa.base.views import AuthenticateView, IndexView
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    LoginWebAuthnView,
    ReauthenticateWebAuthnView,
)
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST, require_safe
from django.views.generic.edit import FormView

from portal.accounts import sessions
from portal.accounts.adapters import is_change
from portal.accounts.allauth_internals import (
    begin_registration,
    clear_state,
    end_sessions,
    get_state,
    post_authentication,
    set_state,
)
from portal.accounts.flows.accounts import choose_time_zone, rename_user
from portal.accounts.flows.email_change import by_token, revoke_email_change
from portal.accounts.forms import ActivateAppForm, ProfileForm
from portal.accounts.models import EmailChange, User
from portal.accounts.passkeys import (
    CHALLENGE,
    AddPasskeyForm,
    AddSecurityKeyForm,
    ask_for_sign_in,
    security_keys_and_passkeys,
    take_challenge,
)
from portal.accounts.proof import ask_for_proof_of, is_recently_proven
from portal.accounts.providers import ask_for_proof, configured_provider, sign_out_to_go_on
from portal.accounts.requests import actor_of, signed_in, signed_in_user
from portal.accounts.totp import LAST_STEP
from portal.core.actors import Actor, ActorKind
from portal.core.browsers import browser_in_words
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.programs.client_address import client_address
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, uncached


@require_form_methods
@signed_in
def profile(request: HtmxRequest) -> HttpResponse:
    """Show how the user signs in, the name that others see, and the time zone; change these."""
    user = get_object_or_404(User, pk=request.user.pk)
    form = ProfileForm(posted(request), instance=user, initial={"time_zone": user.time_zone})
    if form.is_valid():
        with refusals_on(form):
            wanted, person, actor = form.cleaned_data, signed_in_user(request), actor_of(request)
            rename_user(user=person, name=wanted["name"], actor=actor)
            choose_time_zone(user=person, name=wanted["time_zone"], actor=actor)
            messages.success(request, "Your profile is saved.")
            return uncached(redirect("profile:detail"))
    security_keys, passkeys = security_keys_and_passkeys(user.pk)
    context = {
        "has_app": Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists(),
        "security_keys": len(security_keys),
        "passkeys": len(passkeys),
        "sessions": len(sessions.of(user, timezone.now())),
        "identities": SocialAccount.objects.filter(user=user).count(),
    }
    return form_page(request, "profile/detail.html", form, context)


def _proof_before_sessions_end(request: HttpRequest) -> HttpResponse | None:
    """Return where identity is proven first, and from there to the list of sessions, or None."""
    if is_recently_proven(request):
        return None
    messages.info(request, "Please confirm that it is you.")
    then = reverse("usersessions_list")
    return redirect(ask_for_proof_of(request, to="end sessions", then=then))


class SessionsView(ListUserSessionsView):
    """The list of one's own sessions; showing it removes none, ending others needs a proof."""

    @override
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _proof_before_sessions_end(request) or super().post(request, *args, **kwargs)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = sessions.of(signed_in_user(self.request), timezone.now())
        found.sort(key=lambda row: (row.is_current(), row.last_seen_at), reverse=True)
        for session in found:
            session.browser = browser_in_words(session.user_agent)  # type: ignore[attr-defined]
        context: dict[str, Any] = FormView.get_context_data(self, **kwargs)
        return context | {"sessions": found, "session_count": len(found)}


@require_POST
@signed_in
def end_session(request: HtmxRequest, session_id: int) -> HttpResponse:
    """End one of one's own sessions; the browser that has it is signed out at once."""
    session = get_object_or_404(UserSession, pk=session_id, user=request.user)
    proof_first = _proof_before_sessions_end(request)
    if proof_first is not None:
        return proof_first
    end_sessions(request, [session])
    messages.success(request, "The session has ended.")
    return redirect("usersessions_list")


class ProveAtProviderView(BaseReauthenticateView):
    """Prove one's identity at the identity provider: a button, then the provider asks."""

    form_class = forms.Form
    template_name = "socialaccount/reauthenticate.html"

    @override
    def form_valid(self, form: forms.Form) -> HttpResponse:
        then: str = self.get_success_url()  # type: ignore[no-untyped-call]
        return ask_for_proof(self.request, self._provider(), then)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the provider, which the button names."""
        return super().get_context_data(**kwargs) | {"provider": self._provider()}

    def _provider(self) -> Any:
        return configured_provider(self.request, self.kwargs["provider_id"])


IN_SESSION = "email_change"
"""Session key of the change of address whose link was opened in this browser."""


@require_safe
@login_not_required
def open_email_change(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the change of a valid link, and redirect to an address without the secret."""
    change = by_token(token)
    if change is None:
        return uncached(render(request, "account/email_change_gone.html", status=404))
    request.session[IN_SESSION] = change.pk
    return uncached(redirect("revoke_email_change"))


@require_form_methods
@login_not_required
def revoke_change(request: HtmxRequest) -> HttpResponse:
    """Stop a change of address or take the old address back: the link is proof enough."""
    known = request.session.get(IN_SESSION, 0)
    change = EmailChange.objects.revocable(timezone.now()).filter(pk=known).first()
    if change is None:
        return uncached(render(request, "account/email_change_gone.html", status=404))
    form = ConfirmForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            revoked = revoke_email_change(change=change, actor=_recipient(request))
            request.session.pop(IN_SESSION, None)
            return uncached(
                render(request, "account/email_change_revoked.html", {"change": revoked})
            )
    return form_page(request, "account/email_change_revoke.html", form, {"change": change})


def _recipient(request: HttpRequest) -> Actor:
    """Return the recipient of the mail as an actor: nothing more is known of them."""
    return Actor(
        kind=ActorKind.SYSTEM, name="Recipient of the mail", address=client_address(request)
    )


@method_decorator(login_not_required, name="dispatch")
class VerifyEmailView(ConfirmEmailView):
    """allauth's page of a mailed link; a change of address is confirmed by its own account only."""

    @override
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        confirmation = get_emailconfirmation_model().from_key(kwargs["key"])
        if confirmation is None:
            return super().dispatch(request, *args, **kwargs)
        if request.user.is_authenticated and request.user.pk != confirmation.email_address.user_id:
            return _go_on_signed_out(request, confirmation.email_address.email)
        if is_change(confirmation.email_address) and not request.user.is_authenticated:
            return redirect_to_login(request.path)
        return super().dispatch(request, *args, **kwargs)

    @override
    def respond(self, success: bool) -> HttpResponse:
        if not success:
            messages.error(
                self.request,
                "The address was not confirmed: what you sign in with has changed since, or "
                "somebody else signs in with it. Ask for the change again.",
            )
        response: HttpResponse = super().respond(success)  # type: ignore[no-untyped-call]
        return response


class ActivateAppView(ActivateTOTPView):
    """Set up an authenticator app; its first code is used up and counts as a proof of identity."""

    @override
    def form_valid(self, form: ActivateAppForm) -> HttpResponse:
        user = signed_in_user(self.request)
        try:
            with transaction.atomic():
                lock(User, user.pk)  # recovery codes are made once
                response: HttpResponse = super().form_valid(form)
                app = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
                app.data[LAST_STEP] = form.step
                app.save(update_fields=["data"])
        except IntegrityError:
            messages.info(self.request, "Another authenticator app was set up meanwhile.")
            return redirect("mfa_index")
        post_authentication(self.request, app, reauthenticated=True)
        return response


class SecondFactorsView(IndexView):
    """What one has besides a password: app, security keys, passkeys, recovery codes."""

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        keys, passkeys = security_keys_and_passkeys(signed_in_user(self.request).pk)
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"security_keys": keys, "passkeys": passkeys}


@method_decorator(login_not_required, name="dispatch")
class SecondStepView(AuthenticateView):
    """The second step of sign-in, which offers what the person has."""

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        types = Authenticator.objects.filter(user_id=self.stage.login.user.pk)
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"has": set(types.values_list("type", flat=True))}


class AddPasskeyView(AddWebAuthnView):
    """Add a passkey for sign-in, which also counts as a proof of identity."""

    is_security_key = False

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = signed_in_user(self.request)
        options = begin_registration(user, passwordless=not self.is_security_key)
        context = FormView.get_context_data(self, **kwargs)
        return context | {
            "js_data": {"creation_options": options},
            "is_security_key": self.is_security_key,
        }

    @override
    def get_form_class(self) -> type[forms.Form]:
        return AddSecurityKeyForm if self.is_security_key else AddPasskeyForm

    @override
    def form_valid(self, form: forms.Form) -> HttpResponse:
        try:
            with transaction.atomic():
                user = lock(User, signed_in_user(self.request).pk)  # recovery codes are made once
                response: HttpResponse = super().form_valid(form)
                passkeys = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
                post_authentication(self.request, passkeys.latest("pk"), reauthenticated=True)
        except Refused as refusal:
            form.add_error(None, refusal.sentence)
            return self.form_invalid(form)
        return response


@method_decorator(login_not_required, name="dispatch")
class SignInWithPasskeyView(LoginWebAuthnView):
    """Sign in with a passkey; what strangers ask for or fail at makes no session."""

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not get_adapter().is_ajax(request):
            return redirect("account_login")
        return ask_for_sign_in()

    @override
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        clear_state()  # of another page
        if (state := take_challenge(request)) is not None:
            set_state(state)
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
        finally:
            clear_state()
        response.delete_cookie(CHALLENGE, samesite="Strict")
        return response


class ProveWithPasskeyView(ReauthenticateWebAuthnView):
    """Prove one's identity with a passkey whose device verifies its user."""

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        security_keys, _ = security_keys_and_passkeys(signed_in_user(self.request).pk)
        if security_keys:  # they may know no PIN; the form asks passkeys for more
            return context
        set_state((get_state() or {}) | {"user_verification": "required"})
        public_key = dict(context["js_data"]["request_options"]["publicKey"])
        public_key["userVerification"] = "required"
        context["js_data"] = {"request_options": {"publicKey": public_key}}
        return context

    @override
    def form_invalid(self, form: forms.Form) -> HttpResponse:
        for sentence in form.errors.get("credential", []):
            messages.error(self.request, str(sentence))
        to: str = self.passthrough_next_url(self.request.path)  # type: ignore[no-untyped-call]
        return redirect(to)


@require_safe
@login_not_required
def change_password_address(request: HttpRequest) -> HttpResponse:
    """Redirect password managers (W3C, A Well-Known URL for Changing Passwords)."""
    return redirect("account_change_password")


@method_decorator(login_not_required, name="dispatch")
class ChoosePasswordView(PasswordResetFromKeyView):
    """allauth's page of a mailed link; whoever else is signed in is asked first."""

    @override
    def dispatch(
        self, request: HttpRequest, uidb36: str, key: str, **kwargs: Any
    ) -> HttpResponseBase:
        if request.user.is_authenticated and key == self.reset_url_key:
            secret = request.session.get(INTERNAL_RESET_SESSION_KEY, "")
            link = UserTokenForm({"uidb36": uidb36, "key": secret})
            owner = link.reset_user if link.is_valid() else None
            if owner is not None and owner.pk != request.user.pk:
                kept = {INTERNAL_RESET_SESSION_KEY: secret}
                return _go_on_signed_out(request, owner.email, **kept)
        response: HttpResponseBase = super().dispatch(request, uidb36, key, **kwargs)
        return response


def _go_on_signed_out(request: HttpRequest, email: str, **kept: Any) -> HttpResponse:
    """Say that the link is for the address of somebody else, and ask whether to sign out for it.

    `kept` are the values that the session keeps then. Nothing else is done with the request.
    """
    if request.method == "POST" and "log_out" in request.POST:
        sign_out_to_go_on(request, **kept)
        return uncached(redirect(request.get_full_path()))
    return uncached(render(request, "account/link_signed_in.html", {"email": email}, status=403))
