"""License keys that somebody pastes into a search box: they stay out of addresses and logs."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

LOOKS_LIKE_A_KEY = re.compile(r"\beyJ[\w-]{20,}|[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}", re.ASCII)
"""The head of any signed token, or its three parts: whole, cut, or inside a license file."""


def refuse_keys_in_addresses(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer an address that holds what looks like a license key with a sentence, and forget it.

    Stands in front of the door too: a way to the sign-in would carry the address along.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        values = [value for values in request.GET.lists() for value in values[1]]
        if any(LOOKS_LIKE_A_KEY.search(value) for value in values):
            messages.error(
                request,
                "That looks like a license key. Keys never belong into an address: use “Find a "
                "license key” instead.",
            )
            return redirect(request.path)
        return view(request, *args, **kwargs)

    return guarded
