"""Sessions that expire, and a recent proof of identity before pages about credentials."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from portal.accounts import proof, sessions
from portal.accounts.models import User
from portal.core.http import GetResponse
from portal.web.pages import uncached, with_secret

PROOF_FIRST = {
    "account_change_password": "change your password",
    "account_email": "change your email address",
    "account_set_password": "set a password",
    "mfa_activate_totp": "set up an authenticator app",
    "mfa_add_security_key": "add a security key",
    "mfa_add_webauthn": "add a passkey",
    "mfa_deactivate_totp": "remove your authenticator app",
    "mfa_download_recovery_codes": "see your recovery codes",
    "mfa_edit_webauthn": "rename a passkey or security key",
    "mfa_generate_recovery_codes": "make new recovery codes",
    "mfa_remove_webauthn": "remove a passkey or security key",
    "mfa_view_recovery_codes": "see your recovery codes",
    "socialaccount_connections": "manage your identity providers",
}
"""Names of allauth's pages that show or change credentials, with what they are for."""

SHOW_SECRETS = {"mfa_activate_totp", "mfa_view_recovery_codes"}
"""Names of pages that show a secret once: compressed, their length would tell of it."""

ABOUT_ONESELF = ("/accounts/", "/profile/")
"""Prefixes of pages that no cache may keep: they show secrets and credentials."""


class SessionMiddleware:
    """Ends sessions that are too old or unused for too long, and notes when each was used.

    After a proof of identity a session goes on under another key: whoever has taken the old one
    gets nothing of it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Sign the user out first when the session is over."""
        user = request.user
        if isinstance(user, User) and request.session.session_key:
            now = timezone.now()
            row = sessions.recorded(request, now)
            if sessions.is_over(request.session, user, row, now):
                sessions.end(request)
                messages.info(request, "Your session has ended. Sign in again to go on.")
            else:
                sessions.note_use(request, user, row, now)
        before = proof.proofs(request)
        response = self.get_response(request)
        if before and request.user == user and proof.proofs(request) > before:
            sessions.renew(request)
        if request.path.startswith(ABOUT_ONESELF):
            uncached(response)
        match = request.resolver_match
        if match is not None and match.url_name in SHOW_SECRETS:
            with_secret(response)
        return response


class ProofMiddleware:
    """Shows the pages of PROOF_FIRST only after a recent proof of identity.

    allauth itself would ask again right after sign-in, and never ask people who sign in only at an
    identity provider. A POST that comes too late is not kept, because it holds passwords.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on: `process_view` decides, once the page is known."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Redirect to the proof page when the last proof is too old."""
        match = request.resolver_match
        if match is None or match.url_name not in PROOF_FIRST:
            return None
        if proof.is_recently_proven(request):
            return None
        return redirect(proof.ask_for_proof_of(request, to=PROOF_FIRST[match.url_name]))
