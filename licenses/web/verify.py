"""The public page on which a browser verifies license keys by itself."""

import json

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from licenses import keys
from licenses.checking.check import BY_ENTRY
from licenses.checking.results import Result, Step

FACTS = [
    ("Holder", "name"),
    ("Plan, usage, provider", "acr"),
    ("Subscription", "sub"),
    ("Consumer tenant", "tid"),
    ("Authorized application", "auth_apps"),
    ("Key id", "jti"),
    ("Created", "iat"),
    ("Expires", "exp"),
]
"""The claims that the page shows of a key whose signature is good."""


@require_safe
@login_not_required
def verify(request: HttpRequest) -> HttpResponse:
    """Show the page, which holds the public keys and the words for the results."""
    context = {
        "jwks": json.dumps(keys.jwks()),
        "lists": f"{settings.PUBLIC_URL}/public/status/",
        "results": list(Result),
        "by_list": list(BY_ENTRY.values()),
        "facts": FACTS,
        "steps": list(Step),
    }
    return render(request, "licenses/verify.html", context)
