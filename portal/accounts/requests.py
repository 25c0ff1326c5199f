"""The person behind a request."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal.accounts.models import User
from portal.core.actors import Actor
from portal.programs.client_address import client_address


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
