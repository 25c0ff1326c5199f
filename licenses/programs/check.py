"""What terminals call: the online check (contract.md section 3)."""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from licenses.checking import counts, returning
from licenses.checking.check import (
    Expected,
    Verdict,
    check,
    check_again,
    expected_from_terminal,
)
from licenses.checking.lookup import Fetch, fetch_on_loop, fetch_on_thread
from licenses.checking.results import Result, Step
from licenses.checking.returning import Passed
from portal.core.links import public_link
from portal.metrics.instruments import CHECKS
from portal.programs.errors import ProgramError, not_allowed
from portal.programs.limits import Limit
from portal.programs.middleware import MAX_BODY_BYTES
from portal.server.answers import Answer, FastPath, encoded
from portal.server.cache import promptly
from subscriptions import custom_claims

logger = logging.getLogger("licenses.programs")

_to_json = json.JSONEncoder().encode


_COUNTED = "licenses.counted"
"""Where a request notes which limits have counted it: a thread may judge what the loop began."""

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
"""Headers of the answer to a terminal that may start."""


@login_not_required
def check_license(request: HttpRequest) -> HttpResponse:
    """Tell a terminal whether it may start with its license key.

    Raises ProgramError with the body of contract.md section 3 for everything else.
    """
    return HttpResponse(answer(request, fetch_on_thread), headers=HEADERS)


def fast_path(driver: sqlite3.Connection | None = None) -> FastPath:
    """Return the check as the front calls it, without Django's layers.

    `driver` is a connection of the event loop's own; without one the threads read on theirs.
    """
    fetch = fetch_on_thread if driver is None else fetch_on_loop(driver)
    headers = encoded(HEADERS.items())
    return lambda request: Answer(200, list(headers), answer(request, fetch))


def answer(request: HttpRequest, fetch: Fetch) -> bytes:
    """Return the body of the answer to a terminal that may start; `fetch` runs the one read.

    Raises ProgramError with the body of contract.md section 3 for everything else, and what
    `fetch` raises while the database is away.
    """
    if request.method != "POST":
        raise not_allowed("POST")
    _throttle(request, Limit("checks", settings.CHECKS_PER_MINUTE))
    _refuse_foreign(request)
    raw = request.body
    passed = returning.recall(raw)
    if passed is None:
        body = _members(raw)
        expected: Expected = expected_from_terminal(body)
        verdict = check(body["key"], expected=expected, fetch=fetch)
        now = verdict.checked_at
    else:
        expected = passed.expected
        verdict, now = check_again(passed.verdict, expected=expected, fetch=fetch)
    _count(request, raw, verdict, now)
    if not verdict.passes:
        malformed = verdict.result == Result.MALFORMED
        raise ProgramError(
            "invalid_request" if malformed else "unauthorized_access",
            400 if malformed else 401,
            verdict.description,
            result=verdict.result,
            help=_help_for(verdict.result),
        )
    if passed is None or verdict is not passed.verdict:
        assert verdict.parsed is not None
        constant = passed.constant if passed else _constant(verdict.parsed.claims, body)
        passed = Passed(expected, verdict, constant, _success(verdict, constant))
        returning.remember(raw, passed)
    before, after = passed.answer
    return f"{before}{now.isoformat()}{after}".encode()


@cache
def _help_for(result: Result) -> str:
    """Return the address of the page that explains a result."""
    return public_link(reverse("result", args=[result]))


def _refuse_foreign(request: HttpRequest) -> None:
    """Raise ProgramError for a content type that is not JSON, and for a body that is too large."""
    if request.content_type != "application/json":
        raise ProgramError(
            "invalid_request", 415, "Send the request as Content-Type: application/json."
        )
    length = request.META.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise ProgramError(
            "invalid_request", 413, f"The body of the request has at most {MAX_BODY_BYTES} bytes."
        )


def _members(raw: bytes) -> dict[str, Any]:
    """Return the members of the request; raise ProgramError for what is no such body."""
    try:
        body = json.loads(raw.decode())
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
    counted: set[str] = request.META.setdefault(_COUNTED, set())
    if limit.name in counted:
        return
    counted.add(limit.name)
    wait = promptly(lambda: limit.exceeded(request))
    if wait:
        raise ProgramError(
            "invalid_request",
            429,
            f"Too many requests come from this address; ask again in {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )


def _count(request: HttpRequest, raw: bytes, verdict: Verdict, now: datetime) -> None:
    """Count the check, by its key where that is known; log and limit tokens without a signature.

    The stricter limit applies only to failures, so that a terminal with a signed key starts
    whatever others behind the same address send.
    """
    CHECKS.add(verdict.result)
    if verdict.key is not None:
        counts.count(verdict.key, verdict.result, now)
    elif verdict.result.step in {Step.FORM, Step.SIGNATURE}:
        token = _members(raw)["key"]
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        logger.info("%s: %d characters, SHA-256 %s", verdict.result, len(token), digest)
        _throttle(request, Limit("failures", settings.FAILED_CHECKS_PER_MINUTE))


def _constant(claims: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the members of the answer that come from the claims, before and after the verdict."""
    audience = body.get("audience")
    before = {
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
    }
    custom = {name: claims[name] for name in custom_claims.NAMES if name in claims}
    custom = custom_claims.completed(custom) if custom else {}  # keys signed before lack the copies
    after = _to_json({"custom": custom}) if custom else "{}"
    return _to_json(before)[:-1], (", " if custom else "") + after[1:-1]


def _success(verdict: Verdict, constant: tuple[str, str]) -> tuple[str, str]:
    """Return the answer to a terminal that may start, before and after the time of the check."""
    before, after = constant
    until = verdict.accepted_until
    overlap = "" if until is None else f', "accepted_until": "{until.isoformat()}"'
    return f'{before}, "result": "{verdict.result}", "checked_at": "', f'"{after}{overlap}}}'


@lru_cache(maxsize=4096)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
