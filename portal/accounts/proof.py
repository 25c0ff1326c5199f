"""Recent proof of identity, and the form that is kept while the user is asked for it."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate

from allauth.mfa.models import Authenticator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from portal.accounts.allauth_internals import get_authentication_records
from portal.accounts.second_factor import has_second_factor
from portal.web.pages import HtmxRequest

MAX_PROOF_AGE = timedelta(minutes=15)
"""How long a proof of identity counts."""

KEPT_FORM = "kept_form"
ASKED_FOR = "proof_asked_for"
"""Session key of what the last proof was asked for: `path`, and `purpose` in words."""

type Purpose = Callable[..., str]
"""Takes the request and the view's arguments; returns what the proof page puts behind "to"."""


def purpose[V: Callable[..., HttpResponseBase]](words: Purpose) -> Callable[[V], V]:
    """Let the proof page say what the view below `recent_proof` is about to do."""

    def declare(view: V) -> V:
        view.purpose = words  # type: ignore[attr-defined]
        return view

    return declare


def recent_proof[**P](
    view: Callable[Concatenate[Any, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Accept a POST only when the last proof of identity is younger than MAX_PROOF_AGE.

    Goes below `tenant_role`. What was typed is kept in the session and filled in again after the
    proof (`kept_form`). The person submits it again: it is never replayed.
    """
    return _guarded(view, {"POST"})


def proof_first[**P](
    view: Callable[Concatenate[Any, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Ask for the same proof before the form is shown, so that it is filled in and pressed once."""
    return _guarded(view, {"GET", "POST"})


def _guarded[**P](
    view: Callable[Concatenate[Any, P], HttpResponseBase], methods: set[str]
) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def guarded(request: HtmxRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method in methods and not is_recently_proven(request):
            words = getattr(view, "purpose", None)
            return _ask_for_proof(request, words(request, *args, **kwargs) if words else "")
        return view(request, *args, **kwargs)

    return guarded


def is_recently_proven(request: HttpRequest) -> bool:
    """Return whether the last proof in this session is recent enough.

    Signing in counts, except at an identity provider, which may have asked for nothing; its answer
    to a request for proof does count. For users with a second factor, only a proof with a factor
    that they still have counts.
    """
    user = request.user
    records = get_authentication_records(request, user if user.is_authenticated else None)
    if user.is_authenticated and has_second_factor(user.pk):
        factors = set(Authenticator.objects.filter(user_id=user.pk).values_list("pk", flat=True))
        proofs = [
            record.get("at", 0)
            for record in records
            if record["method"] == "mfa" and record.get("id") in factors
        ]
    else:
        proofs = [
            record.get("at", 0)
            for record in records
            if record["method"] != "socialaccount" or record.get("reauthenticated")
        ]
    return bool(time.time() - max(proofs, default=0) < MAX_PROOF_AGE.total_seconds())


def proofs(request: HttpRequest) -> int:
    """Return how many proofs of identity this session holds, signing in included."""
    user = request.user
    return len(get_authentication_records(request, user)) if user.is_authenticated else 0


def proof_address(then: str) -> str:
    """Return the address of the proof page, which leads on to `then`."""
    return reverse("account_reauthenticate", query={"next": then})


def ask_for_proof_of(request: HttpRequest, *, to: str, then: str = "") -> str:
    """Note what a proof is asked for, and return the address of the proof page.

    It leads on to the page `then`, or to that of the request.
    """
    path = then or request.path
    request.session[ASKED_FOR] = {"path": path, "purpose": to}
    return proof_address(path)


def _ask_for_proof(request: HtmxRequest, to: str) -> HttpResponse:
    if request.method == "POST":
        typed = {k: v for k, v in request.POST.lists() if k != "csrfmiddlewaretoken"}
        request.session[KEPT_FORM] = {"path": request.path, "values": typed}
    address = ask_for_proof_of(request, to=to)
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


def kept_post(request: HttpRequest) -> QueryDict | None:
    """Return, once, what was posted to this path before a proof was asked for."""
    kept = request.session.get(KEPT_FORM)
    if not kept or kept["path"] != request.path:
        return None
    del request.session[KEPT_FORM]
    data = QueryDict(mutable=True)
    for name, values in kept["values"].items():
        data.setlist(name, values)
    return data


def kept_form(request: HttpRequest) -> dict[str, str] | None:
    """Return the same for the `initial` of a form: one value per field."""
    data = kept_post(request)
    return None if data is None else {name: str(value) for name, value in data.items()}
