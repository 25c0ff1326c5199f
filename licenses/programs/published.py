"""What anyone may fetch to verify license keys with standard tools (contract.md section 8)."""

import hashlib
import threading
import time
from dataclasses import dataclass, replace

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response

from licenses import keys, status_list
from licenses.checking import status_tokens
from licenses.checking.status_tokens import LIFETIME_SECONDS
from licenses.models import StatusList
from licenses.tokens import status_list_uri
from portal.core.refusal import Refused
from portal.programs.accept import accepts
from portal.programs.errors import ProgramError, not_allowed
from portal.server.answers import Answer
from portal.server.conditions import seconds_ahead, wrong_clock

FRESH_SECONDS = 15
"""Seconds for which a process serves a list from memory before it reads the keys again."""

MAX_AGE_SECONDS = 30
"""Seconds for which others may cache a list, or the signing keys.

With FRESH_SECONDS, less than a minute in all until they know what was revoked or disabled.
"""

SIGNED_EVERY_SECONDS = LIFETIME_SECONDS // 2
"""A list is signed as of the last full period: all processes give out the same bytes.

They share one entity tag, and whoever has a list of one process is told so by all of them.
"""

JWKS_PATH = "/.well-known/jwks.json"
STATUS_LIST_JWT = "application/statuslist+jwt"

_jwks: tuple[float, bytes] = (-FRESH_SECONDS, b"")
"""When the signing keys were looked at (seconds, monotonic), and the JWK Set as it was then."""


@login_not_required
def jwks(request: HttpRequest) -> HttpResponse:
    """Return the JWK Set of the published signing keys (RFC 7517)."""
    _must_read(request)
    global _jwks  # noqa: PLW0603 (the one answer that this process keeps)
    response = JsonResponse(keys.jwks(), content_type="application/jwk-set+json")
    _jwks = (time.monotonic(), response.content)
    return _public(request, response, MAX_AGE_SECONDS)


def from_memory(request: HttpRequest) -> Answer | None:
    """Return what the views do without the database; None when this process has to look.

    Raises ProgramError as they do.
    """
    path, now = request.path_info, time.monotonic()
    if path == JWKS_PATH:
        _must_read(request)
        looked_at, content = _jwks
        if now - looked_at >= FRESH_SECONDS:
            return None
        response = HttpResponse(content, content_type="application/jwk-set+json")
        return Answer.of(_public(request, response, MAX_AGE_SECONDS))
    number = path.rpartition("/")[2]
    known = _signed.get(int(number)) if number.isdecimal() and len(number) < 10 else None
    if known is None or now - known.looked_at >= FRESH_SECONDS:
        return None
    return Answer.of(status(request, int(number)))


@login_not_required
def aggregation(request: HttpRequest) -> HttpResponse:
    """Return the addresses of all status lists (draft-ietf-oauth-status-list section 9)."""
    _must_read(request)
    numbers = StatusList.objects.order_by("number").values_list("number", flat=True)
    lists = {"status_lists": [status_list_uri(number) for number in numbers]}
    return _public(request, JsonResponse(lists), MAX_AGE_SECONDS)


@login_not_required
def status(request: HttpRequest, number: int) -> HttpResponse:
    """Return one Status List Token (draft-ietf-oauth-status-list section 8)."""
    _must_read(request)
    if "time" in request.GET:
        raise ProgramError("invalid_request", 501, "Lists of past times are not kept here.")
    if not accepts(request.headers.get("Accept", ""), STATUS_LIST_JWT):
        raise ProgramError("invalid_request", 406, f"This address answers {STATUS_LIST_JWT}.")
    signed = _current(number)
    response = HttpResponse(signed.token, content_type=STATUS_LIST_JWT)
    left = int(signed.issued_at + LIFETIME_SECONDS - time.time())
    return _public(request, response, max(0, min(MAX_AGE_SECONDS, left)))


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signed list, and when its keys were last read (seconds, monotonic)."""

    token: str
    lst: str
    kid: str
    issued_at: int
    looked_at: float


_signed: dict[int, _Signed] = {}
_building = threading.Lock()


def clear() -> None:
    """Drop the lists and the JWK Set that this process has cached."""
    global _jwks  # noqa: PLW0603
    _signed.clear()
    _jwks = (-FRESH_SECONDS, b"")


def _current(number: int) -> _Signed:
    """Return the list, at most FRESH_SECONDS old.

    While one thread rebuilds it, the others return the old one.
    """
    known = _signed.get(number)
    if known is not None and time.monotonic() - known.looked_at < FRESH_SECONDS:
        return known
    if not _building.acquire(blocking=known is None):
        assert known is not None
        return known
    try:
        newer = _signed.get(number)
        if newer is known:
            newer = _signed[number] = _build(number, known)
        assert newer is not None
        return newer
    finally:
        _building.release()


def _build(number: int, known: _Signed | None) -> _Signed:
    """Return the list as its keys are now; with the same token while nothing has changed."""
    looked_at, now = time.monotonic(), timezone.now()
    for sentence in wrong_clock(seconds_ahead()):
        raise ProgramError("server_error", 503, sentence)
    row = StatusList.objects.filter(number=number).first()
    if row is None:
        raise ProgramError("not_found", 404, "There is no such status list.")
    lst = status_list.compressed(status_list.entries(row, now), row.size)
    try:
        signing_key = keys.active()
        issued_at = int(now.timestamp()) // SIGNED_EVERY_SECONDS * SIGNED_EVERY_SECONDS
        if known is not None and (known.lst, known.kid, known.issued_at) == (
            lst,
            signing_key.kid,
            issued_at,
        ):
            return replace(known, looked_at=looked_at)
        token = status_tokens.sign(signing_key, number, lst, issued_at=issued_at)
    except Refused as refused:
        raise ProgramError("server_error", 503, refused.sentence) from refused
    return _Signed(token, lst, signing_key.kid, issued_at, looked_at)


def _must_read(request: HttpRequest) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise not_allowed("GET", "HEAD")


def _public(request: HttpRequest, response: HttpResponse, max_age: int) -> HttpResponse:
    """Let any site read and cache the response; send 304 if the client has it (RFC 9110 13)."""
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={max_age}"
    response["Access-Control-Allow-Origin"] = "*"
    conditional = get_conditional_response(request, etag=etag, response=response)
    answer = response if conditional is None else conditional
    answer["Access-Control-Allow-Origin"] = "*"
    assert isinstance(answer, HttpResponse)
    return answer
