"""Sign-in at identity providers by OpenID Connect, configured by the environment alone.

Who somebody is, is issuer and subject; an email address never leads to an account. What a provider
says is believed only in an ID token whose signature, issuer, audience and nonce hold.
"""

import secrets
import time
from hashlib import sha256
from typing import Any

import jwt
import requests
from allauth.account.models import Login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from portal.accounts.allauth_internals import (
    perform_login,
    perform_password_login,
    record_authentication,
    record_identity,
)
from portal.accounts.models import User
from portal.accounts.proof import is_recently_proven, proof_address
from portal.accounts.requests import signed_in_user

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures with a public key only: with a shared secret the portal could sign for itself."""


CLOCK_SKEW_SECONDS = 30
"""Seconds by which the clock of a provider may differ from ours."""


PENDING = "pending_identity"


MAX_PENDING_SECONDS = 3600
"""Seconds for which an identity without account waits in the session."""


class _Conversation(OpenIDConnectOAuth2Adapter):
    """What the portal and a provider say to each other."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the provider's own description. Raises OAuth2Error when it is not to be had."""
        try:
            config: dict[str, Any] = super().openid_config
        except requests.RequestException as error:
            raise OAuth2Error("The provider does not describe itself.") from error
        issuer = self._provider.app.settings["server_url"]
        if config.get("issuer", "").rstrip("/") != issuer:
            raise OAuth2Error("The provider says that it is another issuer.")
        return config

    def complete_login(
        self,
        request: HttpRequest,
        app: SocialApp,
        token: Any,  # noqa: ARG002 (allauth passes it)
        **kwargs: Any,
    ) -> SocialLogin:
        """Return who signed in, as the ID token says. Raises OAuth2Error when it does not hold."""
        try:
            claims = self._verified(app, kwargs["response"]["id_token"])
        except (jwt.PyJWTError, requests.RequestException, KeyError, ValueError) as error:
            raise OAuth2Error("The ID token does not hold.") from error
        login: SocialLogin = self._provider.sociallogin_from_response(request, {"id_token": claims})
        return login

    @property
    def _provider(self) -> Any:
        return get_adapter().get_provider(self.request, self.provider_id)

    def _verified(self, app: SocialApp, token: str) -> dict[str, Any]:
        """Return the claims of the ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        with get_adapter().get_requests_session() as session:
            response = session.get(self.openid_config["jwks_uri"])
            response.raise_for_status()
        kid = jwt.get_unverified_header(token).get("kid")
        published = jwt.PyJWKSet.from_dict(response.json()).keys
        [key] = [key for key in published if kid is None or key.key_id == kid]
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=app.client_id,
            issuer=self.openid_config["issuer"],
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        if claims.get("azp", app.client_id) != app.client_id:
            raise jwt.InvalidAudienceError("The ID token was made for another party.")
        return claims


class IdentityProvider(OpenIDConnectProvider):
    """A provider of the setting OIDC_PROVIDERS."""

    oauth2_adapter_class = _Conversation

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Return one word for issuer and subject: a subject means nothing without its issuer."""
        claims = data["id_token"]
        return sha256(f"{claims['iss']} {claims['sub']}".encode()).hexdigest()

    def redirect(
        self,
        request: HttpRequest,
        process: Any,
        next_url: Any = None,
        data: Any = None,
        **options: Any,
    ) -> HttpResponse:
        """Send the browser to the provider; the ID token must bring the nonce back."""
        nonce = secrets.token_urlsafe(24)
        wanted = options.pop("auth_params", None) or {}
        options |= {"auth_params": {**wanted, "nonce": nonce}, "nonce": nonce}
        try:
            response: HttpResponse = super().redirect(request, process, next_url, data, **options)
        except OAuth2Error as error:
            return render_authentication_error(request, self, exception=error)
        return response


class IdentityAdapter(DefaultSocialAccountAdapter):
    """What the portal does with an identity that a provider has confirmed."""

    def list_apps(
        self, request: HttpRequest, provider: Any = None, client_id: Any = None
    ) -> list[SocialApp]:
        """Return the providers of the environment; rows in the database add none."""
        found: list[SocialApp] = super().list_apps(request, provider, client_id)
        return [app for app in found if app.pk is None]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Take the answer to a request for proof, guard connecting, keep an unknown identity."""
        claims, state = sociallogin.account.extra_data["id_token"], sociallogin.state
        if not constant_time_compare(claims.get("nonce", ""), state["nonce"]):
            raise PermissionDenied("The answer belongs to another request.")
        match state["process"]:
            case AuthProcess.REDIRECT:
                _take_proof(request, sociallogin, claims)
            case AuthProcess.CONNECT:
                if not is_recently_proven(request):
                    raise ImmediateHttpResponse(
                        redirect(proof_address(reverse("socialaccount_connections")))
                    )
            case _:
                if not sociallogin.is_existing:
                    raise ImmediateHttpResponse(_keep_pending(request, sociallogin))


def pending_identity(request: HttpRequest) -> SocialLogin | None:
    """Return the identity that signed in at a provider and has no account yet, if there is one."""
    kept = request.session.get(PENDING)
    if kept is None or time.time() - kept["at"] > MAX_PENDING_SECONDS:
        return None
    return SocialLogin.deserialize(kept["login"])


def _keep_pending(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    """Keep the identity, and lead to the invitation it came from or to sign-up."""
    request.session[PENDING] = {"at": time.time(), "login": sociallogin.serialize()}
    joining = reverse("accept_invitation")
    return redirect(joining if sociallogin.state.get("next") == joining else "account_signup")


def sign_in_pending(request: HttpRequest, login: SocialLogin, user: User) -> HttpResponse:
    """Sign in the user for whom an account was made with this identity."""
    del request.session[PENDING]
    login.user = user
    record_identity(request, login)
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url="/"))
    return response


def _take_proof(request: HttpRequest, sociallogin: SocialLogin, claims: dict[str, Any]) -> None:
    """Record that the provider asked the user anew, or send them back to where proof is asked.

    With `max_age=0` a provider must ask, and must say when it did in `auth_time` (OpenID Connect
    Core 1.0, 3.1.2.1); one that does not say so has proven nothing.
    """
    asked_at = (sociallogin.state.get("data") or {}).get("asked_at")
    proven_at = claims.get("auth_time")
    is_fresh = (
        isinstance(asked_at, float)
        and isinstance(proven_at, int)
        and proven_at >= asked_at - CLOCK_SKEW_SECONDS
    )
    if not is_fresh or sociallogin.user != request.user:
        messages.error(
            request,
            "The provider did not confirm that it asked you just now, or confirmed somebody else. "
            "Try again, or choose another way.",
        )
        to = sociallogin.get_redirect_url(request) or "/"
        raise ImmediateHttpResponse(redirect(proof_address(to)))
    record_authentication(
        request,
        signed_in_user(request),
        "socialaccount",
        provider=sociallogin.account.provider,
        uid=sociallogin.account.uid,
        reauthenticated=True,
    )


def ask_for_proof(request: HttpRequest, provider: IdentityProvider, then: str) -> HttpResponse:
    """Send the browser to the provider, which must ask the user anew; go on at `then`."""
    return provider.redirect(
        request,
        AuthProcess.REDIRECT,
        next_url=then,
        data={"asked_at": time.time()},
        auth_params={"prompt": "login", "max_age": "0"},
    )


@login_not_required
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Start a sign-in at the provider, or a connection with it."""
    return _view(OAuth2LoginView, request, provider_id)


@login_not_required
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take the provider's answer."""
    return _view(OAuth2CallbackView, request, provider_id)


def _view(kind: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    try:
        response: HttpResponse = kind.adapter_view(_Conversation(request, provider_id))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    return response


def sign_in_new(request: HttpRequest, user: User, pending: SocialLogin | None) -> HttpResponse:
    """Sign in the user whose account was just made, with a password or with that identity."""
    if pending is not None:
        return sign_in_pending(request, pending, user)
    response: HttpResponse = perform_password_login(
        request, {"email": user.email}, Login(user=user, redirect_url="/")
    )
    return response
