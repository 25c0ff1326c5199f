"""The pages that the mail about a pending change leads to: nothing happens before a button."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from portal.accounts.requests import actor_of
from portal.core.actors import Actor, ActorKind
from portal.operators.flows import recovery
from portal.operators.models import PendingChange
from portal.programs.client_address import client_address
from portal.tenants.links import LINKS
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, form_page, too_many, uncached

IN_SESSION = "pending_change_id"


@require_safe
@login_not_required
def open_cancellation(request: HttpRequest, secret: str) -> HttpResponse:
    """Remember the change of a valid link, and redirect to an address without the secret."""
    refused = too_many(request, LINKS)
    if refused is not None:
        return refused
    change = recovery.by_secret(secret)
    if change is None:
        request.session.pop(IN_SESSION, None)
    else:
        request.session[IN_SESSION] = str(change.pk)
    return uncached(redirect("cancel_change"))


@require_form_methods
@login_not_required
def cancel_change(request: HtmxRequest) -> HttpResponse:
    """Stop the change, or show its outcome. The link is proof enough: it went to few people."""
    known = request.session.get(IN_SESSION)
    change = PendingChange.objects.filter(pk=known).first() if known else None
    if change is None:
        return uncached(render(request, "changes/gone.html", status=404))
    form = ConfirmForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            reason = "Stopped with the link of the mail."
            recovery.cancel(change=change, actor=_actor(request), reason=reason)
            return uncached(redirect("cancel_change"))
    return form_page(request, "changes/cancel.html", form, {"change": change})


def _actor(request: HttpRequest) -> Actor:
    """Return the signed-in user as an actor, else the unknown recipient of the mail."""
    if request.user.is_authenticated:
        return actor_of(request)
    return Actor(
        kind=ActorKind.SYSTEM, name="Recipient of the mail", address=client_address(request)
    )
