"""Sign-up: a mailed link first, then the account and the tenant that it owns."""

import time

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.core.ratelimit import consume_or_429
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.accounts import pending_identity
from portal.accounts.flows.accounts import account_exists
from portal.accounts.providers import sign_in_new, sign_out_to_go_on
from portal.core.links import public_link
from portal.programs.client_address import client_address
from portal.tenants.flows.sign_up import sign_up_owner
from portal.tenants.forms import NewAccountForm, SignUpForm
from portal.tenants.links import LINKS
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, too_many, uncached

SALT = "portal.sign_up"

MAX_LINK_SECONDS = 24 * 3600
"""Seconds for which the link of a sign-up works."""

IN_SESSION = "sign_up_of"
"""Session key of the verified address and the time (Unix time) until which its link works."""


@require_form_methods
@login_not_required
def sign_up(request: HtmxRequest) -> HttpResponse:
    """Ask for an address and mail a link to it: nothing is stored before somebody opens it.

    Only the mail says whether there is an account with the address.
    """
    if request.user.is_authenticated:
        return redirect("home")
    pending = pending_identity.pending_identity(request, pending_identity.SIGN_UP)
    context = {"pending": pending}
    if not settings.OPEN_SIGN_UP:
        return uncached(render(request, "account/signup_closed.html", context, status=403))
    form = SignUpForm(posted(request), initial={"email": pending.email if pending else ""})
    if not form.is_valid():
        return form_page(request, "account/signup.html", form, context)
    email = form.cleaned_data["email"].lower()
    refusal = consume_or_429(request, action="signup", key=email)
    if refusal is not None:
        return refusal
    _send_link(request, email)
    pending_identity.bind_to_address(request, email)
    messages.info(request, f"The email goes to {email}.")
    return uncached(redirect("account_email_verification_sent"))


def _send_link(request: HttpRequest, email: str) -> None:
    adapter = get_account_adapter(request)
    if account_exists(email):
        adapter.send_mail("account/email/account_already_exists", email, {})
    else:
        path = reverse("open_sign_up", args=[signing.dumps(email, salt=SALT)])
        link = {"link": public_link(path)}
        adapter.send_mail("account/email/sign_up", email, link)


@require_safe
@login_not_required
def open_sign_up(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the email address of a valid link, and redirect to a page without its secret.

    Addresses of pages are logged and kept in histories; a session is made for valid links only.
    """
    refused = too_many(request, LINKS)
    if refused is not None:
        return refused
    try:
        email = str(signing.loads(token, salt=SALT, max_age=MAX_LINK_SECONDS))
    except signing.BadSignature:
        request.session.pop(IN_SESSION, None)
    else:
        signed_at = signing.b62_decode(token.rsplit(":", 2)[1])
        until = signed_at + MAX_LINK_SECONDS
        request.session[IN_SESSION] = {"email": email, "until": until}
    return uncached(redirect("complete_sign_up"))


@require_form_methods
@login_not_required
def complete_sign_up(request: HtmxRequest) -> HttpResponse:
    """Make the account and its tenant for the address that the link has verified."""
    email = _verified_address(request)
    is_open = email is not None and settings.OPEN_SIGN_UP and not account_exists(email)
    if request.user.is_authenticated:
        return _go_on_signed_out(request, email) if is_open else uncached(redirect("home"))
    if email is None or not is_open:
        request.session.pop(IN_SESSION, None)
        return uncached(render(request, "account/signup_gone.html", status=404))
    pending = pending_identity.pending_identity(request, pending_identity.SIGN_UP, email=email)
    form = NewAccountForm(posted(request), email=email, pending=pending)
    if form.is_valid():
        with refusals_on(form):
            member = sign_up_owner(
                email=email,
                identity=pending.account if pending else None,
                address=client_address(request),
                **form.cleaned_data,
            )
            del request.session[IN_SESSION]
            return uncached(sign_in_new(request, member.user, pending))
    context = {"pending": pending, "email": email}
    return form_page(request, "account/signup_complete.html", form, context)


def _go_on_signed_out(request: HtmxRequest, email: str | None) -> HttpResponse:
    """Say that somebody is signed in, and ask whether to sign them out for the new account."""
    form = ConfirmForm(posted(request))
    if form.is_valid() and "log_out" in form.data:
        sign_out_to_go_on(request, **{IN_SESSION: request.session[IN_SESSION]})
        return uncached(redirect("complete_sign_up"))
    return form_page(request, "account/signup_signed_in.html", form, {"email": email})


def _verified_address(request: HtmxRequest) -> str | None:
    opened = request.session.get(IN_SESSION)
    return str(opened["email"]) if opened and time.time() < opened["until"] else None
