"""The pages that the mail about a pending change leads to: nothing happens before a button."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import actor_of
from portal.actors import Actor, ActorKind
from portal.flows import pending
from portal.forms import accepted, posted
from portal.models.pending import PendingChange
from portal.network import client_address
from portal.pages import uncached
from portal.tenant_forms import ConfirmForm

IN_SESSION = "pending_change_id"


@require_safe
@login_not_required
def open_objection(request: HttpRequest, secret: str) -> HttpResponse:
    """Remember which change the link was for, and take its secret out of the address."""
    change = pending.by_secret(secret)
    request.session[IN_SESSION] = str(change.pk) if change else None
    return uncached(redirect("object"))


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def object_to_change(request: HttpRequest) -> HttpResponse:
    """Stop the change, or say what became of it. The link is proof enough: it went to few."""
    known = request.session.get(IN_SESSION)
    change = PendingChange.objects.filter(pk=known).first() if known else None
    if change is None:
        return uncached(render(request, "objections/gone.html", status=404))
    form = ConfirmForm(posted(request))
    if request.method == "POST" and accepted(
        form,
        lambda: pending.stop(
            change=change, actor=_actor(request), reason="Stopped with the link of the mail."
        ),
    ):
        return uncached(redirect("object"))
    context = {"change": change, "form": form}
    status = 422 if form.errors else 200
    return uncached(render(request, "objections/object.html", context, status=status))


def _actor(request: HttpRequest) -> Actor:
    """Return the user who is signed in, or whoever got the mail."""
    if request.user.is_authenticated:
        return actor_of(request)
    return Actor(
        kind=ActorKind.SYSTEM, name="Recipient of the mail", address=client_address(request)
    )
