"""What terminals call: the online check (contract.md section 3)."""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from licenses.checking import counts
from licenses.checking.check import Verdict, check, expected_from_terminal
from licenses.checking.results import Result, Step
from portal.core.links import public_link
from portal.programs.errors import ProgramError, not_allowed
from portal.programs.limits import Limit
from subscriptions import custom_claims

logger = logging.getLogger("licenses.programs")

_to_json = json.JSONEncoder().encode

MAX_BODY_BYTES = 65_536
"""The largest request body, in bytes; a larger one is refused before it is read."""


@login_not_required
def check_license(request: HttpRequest) -> HttpResponse:
    """Tell a terminal whether it may start with its license key.

    Raises ProgramError with the body of contract.md section 3 for everything else.
    """
    if request.method != "POST":
        raise not_allowed("POST")
    _throttle(request, Limit("checks", settings.CHECKS_PER_MINUTE))
    body = _body(request)
    verdict = check(body["key"], expected=expected_from_terminal(body))
    _count(request, body["key"], verdict)
    if not verdict.passes:
        malformed = verdict.result == Result.MALFORMED
        raise ProgramError(
            "invalid_request" if malformed else "unauthorized_access",
            400 if malformed else 401,
            verdict.description,
            result=verdict.result,
            help=_help_for(verdict.result),
        )
    return HttpResponse(
        _to_json(_success(verdict, body)),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@cache
def _help_for(result: Result) -> str:
    """Return the address of the page that explains a result."""
    return public_link(reverse("result", args=[result]))


def _body(request: HttpRequest) -> dict[str, Any]:
    """Return the members of the request body; raises ProgramError for any other body."""
    if request.content_type != "application/json":
        raise ProgramError(
            "invalid_request", 415, "Send the request as Content-Type: application/json."
        )
    length = request.META.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise ProgramError(
            "invalid_request", 413, f"The body of the request has at most {MAX_BODY_BYTES} bytes."
        )
    try:
        body = json.loads(request.body.decode())
    except (ValueError, RecursionError) as error:
        raise ProgramError(
            "invalid_request", 400, "The body of the request is not JSON in UTF-8."
        ) from error
    if not isinstance(body, dict):
        raise ProgramError("invalid_request", 400, "The body of the request is no JSON object.")
    if not all(value is None or isinstance(value, str) for value in body.values()):
        raise ProgramError(
            "invalid_request", 400, "Every member of the request is a string or null."
        )
    if body.get("key") is None:
        raise ProgramError("invalid_request", 400, "The request has no license key: send key.")
    return body


def _throttle(request: HttpRequest, limit: Limit) -> None:
    wait = limit.exceeded(request)
    if wait:
        raise ProgramError(
            "invalid_request",
            429,
            f"Too many requests come from this address; ask again in {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )


def _count(request: HttpRequest, token: str, verdict: Verdict) -> None:
    """Count the check of a known key; log and limit tokens without a valid signature.

    The stricter limit applies only to failures, so that a terminal with a signed key starts
    whatever others behind the same address send.
    """
    if verdict.key is not None:
        counts.count(verdict.key, verdict.result, verdict.checked_at)
    elif verdict.result.step in {Step.FORM, Step.SIGNATURE}:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        logger.info("%s: %d characters, SHA-256 %s", verdict.result, len(token), digest)
        _throttle(request, Limit("failures", settings.FAILED_CHECKS_PER_MINUTE))


def _success(verdict: Verdict, body: Mapping[str, Any]) -> dict[str, Any]:
    assert verdict.parsed is not None
    claims = verdict.parsed.claims
    audience = body.get("audience")
    answer = {
        "acr_values": claims["acr"],
        "audience": claims["name"] if audience is None else audience,
        "authorized_application_ids": claims["auth_apps"],
        "authorized_party": claims["azp"],
        "expiry": _moment(claims["exp"]),
        "issued_at": _moment(claims["iat"]),
        "not_before": _moment(claims["nbf"]),
        "issuer": claims["iss"],
        "jti": claims["jti"],
        "name": claims["name"],
        "subject": claims["sub"],
        "tenant_country": claims["tenant_ctry"],
        "tenant_id": claims["tid"],
        "result": verdict.result,
        "checked_at": verdict.checked_at.isoformat(),
    }
    custom = {name: claims[name] for name in custom_claims.NAMES if name in claims}
    if custom:
        answer["custom"] = custom_claims.completed(custom)  # keys signed before lack the copies
    if verdict.accepted_until is not None:
        answer["accepted_until"] = verdict.accepted_until.isoformat()
    return answer


@lru_cache(maxsize=4096)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
