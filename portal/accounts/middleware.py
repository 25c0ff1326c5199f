"""Sessions that end in time, and recent proof before the pages about what one signs in with."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from portal.accounts import proof, sessions
from portal.accounts.models import User
from portal.core.http import GetResponse
from portal.web.pages import uncached

PROOF_FIRST = {
    "account_change_password",
    "account_email",
    "account_set_password",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "socialaccount_connections",
}
"""Pages of allauth that show or change what one signs in with."""


ABOUT_ONESELF = ("/accounts/", "/profile/")
"""Pages that no cache may keep: they show secrets, and what one signs in with."""


class SessionMiddleware:
    """Ends sessions that are too old or were not used for long, and notes when each was used."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as always; for somebody whose session is over as for a stranger."""
        user = request.user
        if isinstance(user, User) and request.session.session_key:
            now = timezone.now()
            row = sessions.recorded(request)
            if sessions.is_over(request, user, row, now):
                logout(request)
                messages.info(request, "Your session has ended. Sign in again to go on.")
            else:
                sessions.note_use(request, user, row, now)
        response = self.get_response(request)
        if request.path.startswith(ABOUT_ONESELF):
            uncached(response)
        return response


class ProofMiddleware:
    """Shows the pages of PROOF_FIRST only after a recent proof of who one is.

    allauth's own question comes again right after sign-in, and never to people who sign in at an
    identity provider only. Nothing is kept of a POST that comes too late: it holds passwords.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as always; `process_view` knows which page it is."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Lead to the proof instead of the page when the last one is too old."""
        match = request.resolver_match
        if match is None or match.url_name not in PROOF_FIRST:
            return None
        if proof.is_recently_proven(request):
            return None
        messages.info(request, "Please confirm that it is you.")
        return redirect(proof.proof_address(request.path))
