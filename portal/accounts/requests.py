"""The person behind a request."""

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal.accounts.allauth_internals import get_authentication_records
from portal.accounts.models import User
from portal.core.actors import Actor
from portal.programs.client_address import client_address

WAYS = {
    "password": "password",
    "password_reset": "link to a new password",
    "socialaccount": "identity provider",
    Authenticator.Type.TOTP: "authenticator app",
    Authenticator.Type.WEBAUTHN: "passkey",
    Authenticator.Type.RECOVERY_CODES: "recovery code",
}
"""Methods of sign-in, by allauth's name of the method or of the factor."""


def actor_of(request: HttpRequest) -> Actor:
    """Return the signed-in user of the request, as an actor for flows and the log."""
    return signed_in_user(request).as_actor(client_address(request))


def signed_in_user(request: HttpRequest) -> User:
    """Return the user of a request that must have one."""
    user = request.user
    assert isinstance(user, User), "only signed-in people act"
    return user


def signed_in[**P](view: Callable[P, HttpResponseBase]) -> Callable[P, HttpResponseBase]:
    """Declare that a view is about the person who is signed in, whatever their roles."""
    view.for_signed_in = True  # type: ignore[attr-defined]
    return view


def ways_used(request: HttpRequest, user: User) -> str:
    """Return by which methods the user signs in or has signed in, in words."""
    ways = [
        WAYS.get(record.get("type") or record["method"], record["method"])
        for record in get_authentication_records(request, user)
    ]
    return " and ".join(dict.fromkeys(ways))
