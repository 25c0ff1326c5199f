"""Doing once what a caller asks for twice (draft-ietf-httpapi-idempotency-key-header).

The first request with a key claims it, in a transaction of its own; later ones with the same key
get its answer, or hear that it still runs. A request that was refused has changed nothing and gives
the key back. One that failed, or whose process died, may have changed something: it keeps the key
for LEASE. What it did or did not do, the flow then says to the next one, since none of them does
the same twice from the same state.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from licenses.api.inputs import JSON
from licenses.models import IdempotentRequest
from licenses.models.idempotent_requests import KEPT
from portal.core.steps import remove_in_steps
from portal.core.token_format import RESEMBLES
from portal.programs.errors import ProgramError
from subscriptions.service_tokens.models import ServiceToken

HEADER = "Idempotency-Key"

LEASE = timedelta(minutes=2)
"""How long a request that has not ended is taken to run; every wait inside one is shorter."""

RETRY_SECONDS = "1"
KEPT_HEADERS = ("ETag", "Location", "Cache-Control")

_KEY = re.compile(r'"([\x20\x21\x23-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})', re.ASCII)
"""A string of Structured Fields (RFC 9651 3.3.3), or the same without its quotation marks."""


def once(
    request: HttpRequest, token: ServiceToken, perform: Callable[[], HttpResponse]
) -> HttpResponse:
    """Return what `perform` answers, or has answered to the same request before.

    Without an Idempotency-Key it is simply done. Raises ProgramError: 400 for a key that is none,
    409 while the first request runs, 422 for another request with the same key.
    """
    key = _key_of(request)
    if key is None:
        return perform()
    mine = IdempotentRequest(
        token=token, key=key, fingerprint=_fingerprint(request), started_at=timezone.now()
    )
    known = _claim(mine)
    if known is not None:
        return _repeated(known, mine)
    claimed = IdempotentRequest.objects.filter(pk=mine.pk, started_at=mine.started_at)
    try:
        response = perform()
    except ProgramError:  # A flow has refused, before its change.
        claimed.delete()
        raise
    claimed.update(
        status=response.status_code,
        headers={name: response[name] for name in KEPT_HEADERS if name in response},
        body=response.content.decode(),
    )
    return response


def prune(*, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove what is older than KEPT; return how many rows."""
    old = IdempotentRequest.objects.filter(started_at__lt=timezone.now() - KEPT)
    return remove_in_steps(old, stopped=stopped)


def _key_of(request: HttpRequest) -> str | None:
    given = request.headers.get(HEADER)
    if given is None:
        return None
    found = _KEY.fullmatch(given.strip())
    if found is None:
        raise ProgramError(
            "invalid_request",
            400,
            f"{HEADER} is a text of 1 to 255 characters in ASCII, such as a UUID.",
        )
    key = found[1] or found[2]
    if RESEMBLES.search(key):  # It would be stored, and the service token in it with it.
        raise ProgramError(
            "invalid_request",
            400,
            f"A service token never belongs in {HEADER}. Send a UUID, and rotate the token.",
        )
    return key


def _fingerprint(request: HttpRequest) -> str:
    condition = request.headers.get("If-Match", "")
    head = f"{request.method} {request.get_full_path()}\n{condition}\n"
    return hashlib.sha256(head.encode() + request.body).hexdigest()


def _claim(mine: IdempotentRequest) -> IdempotentRequest | None:
    """Store the request and return None, or return the one that has the key already."""
    rows = IdempotentRequest.objects
    try:
        known, is_new = rows.get_or_create(
            token=mine.token,
            key=mine.key,
            defaults={"fingerprint": mine.fingerprint, "started_at": mine.started_at},
        )
    except IntegrityError as error:  # The one that had it gave it back at this moment.
        raise _running() from error
    mine.pk = known.pk
    if is_new:
        return None
    age = mine.started_at - known.started_at
    if age < (LEASE if known.status is None else KEPT):
        return known
    taken = rows.filter(pk=known.pk, started_at=known.started_at, status=known.status).update(
        fingerprint=mine.fingerprint, started_at=mine.started_at, status=None, headers={}, body=""
    )
    if not taken:
        raise _running()
    return None


def _repeated(known: IdempotentRequest, mine: IdempotentRequest) -> HttpResponse:
    if known.fingerprint != mine.fingerprint:
        raise ProgramError(
            "idempotency_key_reused",
            422,
            f"Another request was sent with this {HEADER}. Send each one with a key of its own.",
        )
    if known.status is None:
        raise _running()
    response = HttpResponse(known.body, status=known.status, content_type=JSON)
    for name, value in known.headers.items():
        response[name] = value
    response["Idempotency-Replayed"] = "true"
    return response


def _running() -> ProgramError:
    return ProgramError(
        "request_running",
        409,
        f"The first request with this {HEADER} still runs, or has failed and what it changed is "
        f"not known. Send it again in a moment, for {LEASE.seconds // 60} minutes at most.",
        headers={"Retry-After": RETRY_SECONDS},
    )
