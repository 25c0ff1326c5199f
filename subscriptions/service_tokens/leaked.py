"""`POST /api/v1/revoke`: whoever holds a leaked token ends it."""

import json

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from portal.core.actors import Actor, ActorKind
from portal.programs.client_address import client_address
from portal.programs.errors import ProgramError, not_allowed
from portal.programs.limits import Limit
from subscriptions.service_tokens.authentication import find
from subscriptions.service_tokens.flows import revoke_token

LIMIT = Limit("revocations", 10)
MAX_TEXTS = 100

REASON = "Somebody who holds it reported that it leaked."


@csrf_exempt
@login_not_required
def revoke(request: HttpRequest) -> HttpResponse:
    """End the tokens in the body, without authentication; unknown and ended ones answer alike.

    Only requests with a text that is no token count for LIMIT, so that whoever has found many ends
    them all. Raises ProgramError for a body that holds none, and above LIMIT.
    """
    if request.method != "POST":
        raise not_allowed("POST")
    found = [find(text) for text in _read(request)]
    holder = Actor(
        kind=ActorKind.SYSTEM, name="Holder of the token", address=client_address(request)
    )
    for token in filter(None, found):
        revoke_token(token=token, actor=holder, reason=REASON)
    if None in found and (seconds := LIMIT.exceeded(request)):
        raise ProgramError(
            "too_many_requests",
            429,
            f"More than {LIMIT.per_minute} requests in a minute with texts that are not tokens. "
            f"Come again in {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )
    answer = {"detail": "Whatever was a token of this portal no longer works."}
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def _read(request: HttpRequest) -> list[str]:
    try:
        body = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        body = None
    given = body if isinstance(body, dict) else {}
    several = given.get("tokens", [])
    texts = [given["token"]] if "token" in given else []
    texts += several if isinstance(several, list) else [None]
    is_sized = 0 < len(texts) <= MAX_TEXTS
    if not is_sized or not all(isinstance(text, str) for text in texts):
        raise ProgramError(
            "invalid_request",
            400,
            'Send a JSON object in UTF-8: {"token": "plt_…"}, or {"tokens": ["plt_…", …]} with at '
            f"most {MAX_TEXTS}.",
        )
    return [text.strip() for text in dict.fromkeys(texts)]
