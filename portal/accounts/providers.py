"""Sign-in at identity providers by OpenID Connect, configured by the environment alone.

Issuer and subject identify a person; an email address never leads to an account. What a provider
says is believed only in an ID token whose signature, issuer, audience and nonce are valid. What is
sent to providers is decided here, never by a query string; `provider_client` bounds the answers.
"""

import logging
import secrets
import time
from hashlib import sha256
from typing import Any, override
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.models import EmailAddress, Login
from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.helpers import complete_social_login
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.utils import build_absolute_uri, get_request_param
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from requests import Session

from portal.accounts import pending_identity
from portal.accounts.allauth_internals import (
    perform_login,
    perform_password_login,
    record_authentication,
)
from portal.accounts.flows.failed_sign_ins import PROVIDER_AT_PROOF, record_failed_sign_in
from portal.accounts.models import User
from portal.accounts.pending_identity import PendingIdentity
from portal.accounts.proof import is_recently_proven, proof_address
from portal.accounts.provider_client import (
    CLOCK_SKEW_SECONDS,
    ProviderClient,
    ProviderError,
    ProvidersBusyError,
    bounded_session,
)
from portal.accounts.requests import signed_in_user
from portal.programs.client_address import client_address
from portal.programs.limits import Limit
from portal.web.forms import require_form_methods
from portal.web.pages import too_many, uncached

logger = logging.getLogger("portal.providers")

STARTS = Limit("identity_providers", 20)
"""Sign-ins at providers that one client address may begin in a minute."""

RETRY_SECONDS = 5
"""Seconds after which to try again when all conversations were under way."""

MAX_NEXT_CHARACTERS = 2000
"""Characters of the address to continue at, which is kept in a session before sign-in."""

SCOPE = "openid profile email"

KEPT_CLAIMS = ("iss", "sub", "email", "name")
"""The only claims of a provider that are kept, each as one line of text."""

MAX_CLAIM_CHARACTERS = 254


class IdentityProvider(OpenIDConnectProvider):
    """A provider of the setting OIDC_PROVIDERS."""

    @override
    def extract_uid(self, data: dict[str, Any]) -> str:
        """Return a hash of issuer and subject: a subject is unique only within its issuer."""
        claims = data["id_token"]
        whole = f"{claims['iss']} {claims['sub']}"
        return sha256(whole.encode(errors="surrogatepass")).hexdigest()

    @override
    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Keep only KEPT_CLAIMS, without characters that a database would refuse."""
        claims = data["id_token"]
        texts = {name: claims[name] for name in KEPT_CLAIMS if isinstance(claims.get(name), str)}
        return {"id_token": {name: _line(text) for name, text in texts.items()}}

    @override
    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    @override
    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        return []

    @override
    def redirect(
        self,
        request: HttpRequest,
        process: Any,
        next_url: Any = None,
        data: Any = None,
        **options: Any,
    ) -> HttpResponse:
        """Send the browser to the provider; the ID token must bring the nonce back.

        `options` are further parameters (OpenID Connect Core 1.0, 3.1.2.1), which are not kept.
        """
        try:
            address = ProviderClient(self.app).description()["authorization_endpoint"]
        except ProviderError as error:
            return _failed(request, self, error, {"process": process, "next": next_url})
        nonce, proof = secrets.token_urlsafe(24), generate_code_challenge()
        verifier = proof.pop("code_verifier")
        state_id = self.stash_redirect_state(
            request, process, next_url, data, nonce=nonce, pkce_code_verifier=verifier
        )
        asked = {
            **options,
            **proof,
            "response_type": "code",
            "client_id": self.app.client_id,
            "redirect_uri": _redirect_uri(request, self),
            "scope": SCOPE,
            "state": state_id,
            "nonce": nonce,
        }
        return HttpResponseRedirect(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}")


class IdentityAdapter(DefaultSocialAccountAdapter):
    """What the portal does with an identity that a provider has confirmed."""

    @override
    def list_apps(
        self, request: HttpRequest, provider: Any = None, client_id: Any = None
    ) -> list[SocialApp]:
        """Return the providers of the environment; rows in the database add none."""
        found: list[SocialApp] = super().list_apps(request, provider, client_id)
        return [app for app in found if app.pk is None]

    def configured(self, request: HttpRequest, provider_id: str) -> IdentityProvider | None:
        """Return the provider with this identifier in the settings, or None."""
        for app in self.list_apps(request):
            if app.provider_id == provider_id:
                return IdentityProvider(request, app=app)
        return None

    @override
    def get_provider(
        self, request: HttpRequest, provider: Any, client_id: Any = None
    ) -> IdentityProvider:
        """Return the provider of an account, by its identifier alone.

        Several may share a client id. One that was removed from the settings still gets a name,
        so that people see what they are connected with and can disconnect it.
        """
        former = SocialApp(provider="openid_connect", provider_id=provider, name=provider)
        return self.configured(request, provider) or IdentityProvider(request, app=former)

    @override
    def get_requests_session(self) -> Session:
        return bounded_session()

    @override
    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Record a proof, require one before connecting, or keep an unknown identity."""
        match sociallogin.state["process"]:
            case AuthProcess.REDIRECT:
                _take_proof(request, sociallogin)
            case AuthProcess.CONNECT:
                if not is_recently_proven(request):
                    raise ImmediateHttpResponse(
                        redirect(proof_address(reverse("socialaccount_connections")))
                    )
            case _:
                if not sociallogin.is_existing:
                    raise ImmediateHttpResponse(_keep_pending(request, sociallogin))


def configured_provider(request: HttpRequest, provider_id: str) -> IdentityProvider:
    """Return the provider with this identifier. Raises Http404 when the settings have none."""
    adapter: IdentityAdapter = get_adapter(request)  # type: ignore[assignment]
    provider = adapter.configured(request, provider_id)
    if provider is None:
        raise Http404
    return provider


def _line(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:MAX_CLAIM_CHARACTERS]


def _redirect_uri(request: HttpRequest, provider: IdentityProvider) -> str:
    path = reverse("openid_connect_callback", args=[provider.app.provider_id])
    return str(build_absolute_uri(request, path))


def _keep_pending(request: HttpRequest, login: SocialLogin) -> HttpResponse:
    """Keep the identity for its flow, unless somebody is signed in here."""
    if request.user.is_authenticated:
        name = login.provider.name
        messages.error(
            request,
            f"There is no account for that sign-in at {name}. To sign in with it to this account, "
            "connect it in your profile.",
        )
        return redirect("home")
    asked = login.state.get("data") or {}
    return pending_identity.keep(request, login, asked.get("flow", pending_identity.SIGN_UP))


def _take_proof(request: HttpRequest, login: SocialLogin) -> None:
    """Record that the provider asked the user anew, or return to the page that wants a proof.

    With `max_age=0` a provider must ask, and must say when it did in `auth_time` (OpenID Connect
    Core 1.0, 3.1.2.1); one that does not say so has proven nothing.
    """
    asked_at, proven_at = login.state["data"]["asked_at"], login.state["auth_time"]
    is_fresh = proven_at is not None and proven_at >= asked_at - CLOCK_SKEW_SECONDS
    if not is_fresh or login.user != request.user:
        user = signed_in_user(request)
        record_failed_sign_in(
            user=user,
            email=user.email.lower(),
            way=PROVIDER_AT_PROOF,
            address=client_address(request),
        )
        messages.error(
            request,
            "The provider did not confirm that it asked you just now, or confirmed somebody else. "
            "Try again, or choose another way.",
        )
        raise ImmediateHttpResponse(redirect(_beginning(login.state) or "/"))
    record_authentication(
        request,
        signed_in_user(request),
        "socialaccount",
        provider=login.account.provider,
        uid=login.account.uid,
        reauthenticated=True,
    )


def ask_for_proof(request: HttpRequest, provider: IdentityProvider, then: str) -> HttpResponse:
    """Send the browser to the provider, which must ask the user anew; go on at `then`."""
    return too_many(request, STARTS) or provider.redirect(
        request,
        AuthProcess.REDIRECT,
        next_url=then,
        data={"asked_at": time.time()},
        prompt="login",
        max_age="0",
    )


@require_form_methods
@login_not_required
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Start a sign-in at the provider, or a connection with it."""
    provider = configured_provider(request, provider_id)
    wants_connection = get_request_param(request, "process") == AuthProcess.CONNECT
    process = AuthProcess.CONNECT if wants_connection else AuthProcess.LOGIN
    if request.method != "POST":
        context = {"provider": provider, "process": process}
        return uncached(render(request, "socialaccount/login.html", context))
    next_url = get_next_redirect_url(request)
    if next_url and len(next_url) > MAX_NEXT_CHARACTERS:
        next_url = None
    data = {"flow": pending_identity.flow_of(request, next_url)}
    return too_many(request, STARTS) or provider.redirect(request, process, next_url, data)


@require_GET
@login_not_required
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take the provider's answer (OpenID Connect Core 1.0, 3.1.2.5 and 3.1.2.6)."""
    provider = configured_provider(request, provider_id)
    try:
        state = provider.unstash_redirect_state(request, request.GET.get("state", ""))
    except PermissionDenied:
        return _failed(request, provider, ProviderError("no question of this browser waits"))
    if request.GET.get("error") == "access_denied" and not _beginning(state):
        return redirect("socialaccount_login_cancelled")
    try:
        login = _answered(request, provider, state)
    except ProviderError as error:
        return _failed(request, provider, error, state)
    response: HttpResponse = complete_social_login(request, login)
    return response


def _answered(
    request: HttpRequest, provider: IdentityProvider, state: dict[str, Any]
) -> SocialLogin:
    """Return who signed in, as the ID token says. Raises ProviderError."""
    if "error" in request.GET or "code" not in request.GET:
        raise ProviderError(f"it answers {request.GET.get('error', 'without a code')}")
    claims = ProviderClient(provider.app).claims(
        code=request.GET["code"],
        verifier=state["pkce_code_verifier"],
        redirect_uri=_redirect_uri(request, provider),
        nonce=state["nonce"],
    )
    login: SocialLogin = provider.sociallogin_from_response(request, {"id_token": claims})
    login.state = {**state, "auth_time": claims.get("auth_time")}
    return login


def _beginning(state: dict[str, Any]) -> str | None:
    """Return the account page on which this began; None if it began elsewhere."""
    match state.get("process"):
        case AuthProcess.REDIRECT:
            return proof_address(state.get("next") or "/")
        case AuthProcess.CONNECT:
            return reverse("socialaccount_connections")
    return None


def _failed(
    request: HttpRequest,
    provider: IdentityProvider,
    error: ProviderError,
    state: dict[str, Any] | None = None,
) -> HttpResponse:
    """Log the error, and return to where it began or show that it did not work."""
    logger.warning("Sign-in at %s does not work: %s", provider.app.provider_id, str(error))
    beginning = _beginning(state or {})
    if beginning and request.user.is_authenticated:
        messages.error(request, f"{provider.name} did not confirm who you are. Try again.")
        return uncached(redirect(beginning))
    is_busy = isinstance(error, ProvidersBusyError)
    response = render(
        request,
        "socialaccount/authentication_error.html",
        {"is_busy": is_busy},
        status=503 if is_busy else 401,
    )
    if is_busy:
        response["Retry-After"] = str(RETRY_SECONDS)
    return uncached(response)


def sign_in_new(request: HttpRequest, user: User, identity: PendingIdentity | None) -> HttpResponse:
    """Sign in the user whose account was just made, with a password or with that identity."""
    login = Login(user=user, redirect_url="/")
    if identity is None:
        response: HttpResponse = perform_password_login(request, {"email": user.email}, login)
    else:
        kept = identity.account
        record_authentication(request, user, "socialaccount", provider=kept.provider, uid=kept.uid)
        response = perform_login(request, login)
    return response


def sign_out_to_go_on(request: HttpRequest, **kept: Any) -> None:
    """Sign out whoever is signed in and keep only these values of their session."""
    get_account_adapter(request).logout(request)
    for name, value in kept.items():
        request.session[name] = value
