"""An identity that signed in at a provider and has no account yet: it waits until one is created.

It belongs to the sign-up or the invitation during which it signed in, is named on that page, and
can be dropped there. It is also dropped by any sign-in or sign-out, so that the next person at this
browser does not attach it by accident.
"""

import time
from dataclasses import dataclass
from typing import Any

from allauth.account.signals import user_logged_in
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth.decorators import login_not_required
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from portal.web.pages import uncached

IN_SESSION = "identity_of_flow"

MAX_SECONDS = 3600
"""Seconds for which an identity without an account waits in the session."""

INVITATION_IN_SESSION = "invitation_id"
"""Session key of the invitation that was opened."""

SIGN_UP = "sign-up"


@dataclass(frozen=True, kw_only=True)
class PendingIdentity:
    """The identity with its provider as allauth knows it; `account` is not stored."""

    provider: Any
    account: SocialAccount

    @property
    def name(self) -> str:
        """The person's name as the provider gives it, or an empty text."""
        return str(self.account.extra_data["id_token"].get("name", ""))

    @property
    def email(self) -> str:
        """The address that the provider names, not verified by us, or an empty text."""
        return str(self.account.extra_data["id_token"].get("email", ""))

    def __str__(self) -> str:
        whose = self.email or self.name
        return f"{self.provider.name} account {whose}" if whose else f"{self.provider.name} account"


def flow_of(request: HttpRequest, next_url: str | None) -> str:
    """Return the flow of a sign-in that continues at `next_url`: an invitation's, or sign-up."""
    if next_url == reverse("accept_invitation"):
        return invitation_flow(request.session.get(INVITATION_IN_SESSION))
    return SIGN_UP


def invitation_flow(invitation_id: int | None) -> str:
    """Return the name of the flow in which this invitation is accepted."""
    return f"invitation {invitation_id}"


def keep(request: HttpRequest, login: SocialLogin, flow: str) -> HttpResponse:
    """Store the identity in the session, and redirect to the page of its flow."""
    request.session[IN_SESSION] = {
        "at": time.time(),
        "flow": flow,
        "email": None,
        "provider": login.account.provider,
        "uid": login.account.uid,
        "claims": login.account.extra_data,
    }
    return redirect(_page_of(flow))


def pending_identity(
    request: HttpRequest, flow: str, *, email: str | None = None
) -> PendingIdentity | None:
    """Return the identity that waits for this flow, if there is one.

    With `email`, only when the link to that address was asked for together with the identity.
    """
    kept = request.session.get(IN_SESSION)
    if kept is None or kept["flow"] != flow or time.time() - kept["at"] > MAX_SECONDS:
        return None
    if email is not None and kept["email"] != email:
        return None
    adapter: Any = get_adapter(request)
    provider = adapter.configured(request, kept["provider"])
    if provider is None:
        return None
    account = SocialAccount(provider=kept["provider"], uid=kept["uid"], extra_data=kept["claims"])
    return PendingIdentity(provider=provider, account=account)


def bind_to_address(request: HttpRequest, email: str) -> None:
    """Bind an identity that waits for sign-up to the link that is now sent to this address."""
    kept = request.session.get(IN_SESSION)
    if kept is not None and kept["flow"] == SIGN_UP:
        request.session[IN_SESSION] = kept | {"email": email}


def end(request: HttpRequest, flow: str | None = None) -> None:
    """Drop the waiting identity; with `flow`, only if it belongs to that."""
    kept = request.session.get(IN_SESSION)
    if kept is not None and flow in {None, kept["flow"]}:
        del request.session[IN_SESSION]


@require_POST
@login_not_required
def put_aside(request: HttpRequest) -> HttpResponse:
    """Drop the identity, and return to the page that named it to go on with a password."""
    kept = request.session.get(IN_SESSION)
    end(request)
    if request.POST.get("page") == "complete":
        return uncached(redirect("complete_sign_up"))
    return uncached(redirect(_page_of(kept["flow"] if kept else SIGN_UP)))


@receiver(user_logged_in)
def end_at_sign_in(request: HttpRequest, **_: Any) -> None:
    """Drop the waiting identity when somebody signs in: it may be another person's."""
    end(request)


def _page_of(flow: str) -> str:
    return reverse("account_signup" if flow == SIGN_UP else "accept_invitation")
