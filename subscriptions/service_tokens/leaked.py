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

REASON = "Somebody who holds it reported that it leaked."


@csrf_exempt
@login_not_required
def revoke(request: HttpRequest) -> HttpResponse:
    """End the token in the body, without authentication; unknown and ended ones are answered alike.

    Raises ProgramError for a body that holds no text `token`, and above LIMIT.
    """
    if request.method != "POST":
        raise not_allowed("POST")
    seconds = LIMIT.exceeded(request)
    if seconds:
        raise ProgramError(
            "too_many_requests",
            429,
            f"More than {LIMIT.per_minute} requests in a minute. Come again in {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )
    token = find(_read(request))
    if token is not None:
        holder = Actor(
            kind=ActorKind.SYSTEM, name="Holder of the token", address=client_address(request)
        )
        revoke_token(token=token, actor=holder, reason=REASON)
    answer = {"detail": "If this was a token of this portal, it no longer works."}
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def _read(request: HttpRequest) -> str:
    try:
        body = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        body = None
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str):
        raise ProgramError(
            "invalid_request", 400, 'Send a JSON object in UTF-8: {"token": "plt_…"}.'
        )
    return token.strip()
