"""What a node sees of a request: told to `manage.py doctor`, which proves that it has SECRET_KEY.

The doctor asks the public address and learns how headers really arrive behind the proxies.
"""

import os
import socket
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.core.cache import cache
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from portal.programs.client_address import client_address

HEADER = "X-Portal-Probe"

MAX_AGE_SECONDS = 120
"""Seconds for which a proof counts: the clock of a node may differ by one minute."""

LONG_HEADER = 60_000
"""Characters of a header that is longer than a proxy takes from a node, and no client refuses."""

_SALT = "portal.probe"


def proof(question: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that makes a node answer.

    `cache_key` of the question names an entry of the cache, and `breaks` asks for an answer that
    most proxies turn into their own 502.
    """
    return {HEADER: signing.dumps(dict(question), salt=_SALT)}


@require_safe
@login_not_required
def seen(request: HttpRequest) -> JsonResponse:
    """Tell who asks with a proof what this node sees; nothing is here for anybody else (404)."""
    try:
        question = signing.loads(
            request.headers.get(HEADER, ""), salt=_SALT, max_age=MAX_AGE_SECONDS
        )
    except signing.BadSignature as error:
        raise Http404 from error
    answer = JsonResponse(
        {
            "node": f"{socket.gethostname()} process {os.getpid()}",
            "peer": request.META.get("REMOTE_ADDR", ""),
            "client": client_address(request),
            "is_secure": request.is_secure(),
            "host": request.META.get("HTTP_HOST", ""),
            "x_forwarded_for": request.META.get("HTTP_X_FORWARDED_FOR", ""),
            "forwarded": request.META.get("HTTP_FORWARDED", ""),
            "cached": cache.get(question["cache_key"]) if question.get("cache_key") else None,
        },
        headers={"Cache-Control": "no-store"},
    )
    if question.get("breaks"):
        answer["X-Padding"] = "x" * LONG_HEADER
    return answer
