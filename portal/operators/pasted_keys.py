"""License keys and service tokens that somebody pastes into a search box, or an address."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from portal.core.token_format import RESEMBLES

LOOKS_LIKE_A_KEY = re.compile(
    r"\beyJ[\w-]{20,}|(?<![\w-])[\w-]{16,}+\.[\w-]{16,}+\.[\w-]{16,}", re.ASCII
)
"""The head of any signed token, or its three parts: whole, cut, or inside a license file.

A run of letters is tried from its beginning alone: the time is linear in the length of the text.
"""


NO_KEY = (
    "That looks like a license key. Keys never belong into an address: use “Find a license key” "
    "instead."
)
KEY_IN_ADDRESS = (
    "That looks like a license key. Keys never belong into an address: sign in, and choose Check "
    "on the page of its subscription."
)
CREDENTIAL = (
    "That looks like a service token. Tokens are secrets and never belong into an address, which "
    "browsers and servers keep: have an owner revoke this one."
)


class PastedKeyMiddleware:
    """Answers an address with what looks like a secret or a key with a sentence.

    A license key is no secret, but the admin's lists look for names: it has a search of its own.

    Runs before the check for sign-in too, whose redirect would repeat the address: there a license
    key is left out as well. Pages that need no sign-in may be given what looks like one, such as
    the code of an identity provider.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on: `process_view` decides."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *_: Any
    ) -> HttpResponse | None:
        """Redirect to the same page without parameters when one of them looks like one."""
        match = request.resolver_match
        parameters = [text for name, values in request.GET.lists() for text in (name, *values)]
        given = [request.path, *parameters]
        if any(map(RESEMBLES.search, given)):
            messages.error(request, CREDENTIAL)
            return redirect("home" if RESEMBLES.search(request.path) else request.path)
        if match is not None and match.app_names[:1] == ["admin"]:
            sentence = NO_KEY
        elif request.user.is_anonymous and getattr(view, "login_required", True):
            sentence = KEY_IN_ADDRESS
        else:
            return None
        if not any(map(LOOKS_LIKE_A_KEY.search, parameters)):
            return None
        messages.error(request, sentence)
        return redirect(request.path)
