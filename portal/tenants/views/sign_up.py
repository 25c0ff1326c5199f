"""Sign-up: a mailed link first, then the account and the tenant that it owns."""

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.core.ratelimit import consume_or_429
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.accounts.flows.accounts import account_exists
from portal.accounts.providers import pending_identity, sign_in_new
from portal.core.links import public_link
from portal.programs.client_address import client_address
from portal.tenants.flows.sign_up import sign_up_owner
from portal.tenants.forms import NewAccountForm, SignUpForm
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, uncached

SALT = "portal.sign_up"

MAX_LINK_SECONDS = 24 * 3600
"""Seconds for which the link of a sign-up works."""

IN_SESSION = "sign_up"


@require_form_methods
@login_not_required
def sign_up(request: HtmxRequest) -> HttpResponse:
    """Ask for an address and send a link to it: nothing exists before somebody opens that.

    Whether somebody signs in with the address already, the mail alone tells.
    """
    if request.user.is_authenticated:
        return redirect("home")
    if not settings.OPEN_SIGN_UP:
        context = {"pending": pending_identity(request)}
        return uncached(render(request, "account/signup_closed.html", context, status=403))
    form = SignUpForm(posted(request), initial={"email": _claimed_address(request)})
    if not form.is_valid():
        context = {"pending": pending_identity(request)}
        return form_page(request, "account/signup.html", form, context)
    email = form.cleaned_data["email"].lower()
    refusal = consume_or_429(request, action="signup", key=email)
    if refusal is not None:
        return refusal
    _send_link(request, email)
    return uncached(redirect("account_email_verification_sent"))


def _claimed_address(request: HtmxRequest) -> str:
    """Return the address that a provider names; it is verified like any other."""
    pending = pending_identity(request)
    return str(pending.account.extra_data["id_token"].get("email", "")) if pending else ""


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
    """Remember the link, and take it out of the address, which is logged and kept in histories."""
    request.session[IN_SESSION] = token
    return uncached(redirect("complete_sign_up"))


@require_form_methods
@login_not_required
def complete_sign_up(request: HtmxRequest) -> HttpResponse:
    """Make the account and its tenant for the address that the link has verified."""
    email = _verified_address(request)
    if request.user.is_authenticated:
        return redirect("home")
    if email is None or not settings.OPEN_SIGN_UP or account_exists(email):
        return uncached(render(request, "account/signup_gone.html", status=404))
    pending = pending_identity(request)
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


def _verified_address(request: HtmxRequest) -> str | None:
    try:
        return str(
            signing.loads(request.session.get(IN_SESSION, ""), salt=SALT, max_age=MAX_LINK_SECONDS)
        )
    except signing.BadSignature:
        return None
