"""Compact JWS, read strictly and written from rows; no other module reads raw tokens."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError

from licenses.models import License
from portal.core.refusal import Refused
from subscriptions import custom_claims

PROVIDER_URN = "urn:oneimlx:lic:pvdr:pi"
USAGE_URN_PREFIX = "urn:oneimlx:lic:usage:"

CLOCK_SKEW_SECONDS = 300
"""Seconds by which a clock may be wrong (contract.md section 4)."""

MAX_CHARACTERS = 16 * 1024
"""The longest token that is read, in characters (contract.md section 5)."""

MAX_TIME = 253_402_300_799
"""The last second of the year 9999, the last that a datetime can hold."""

MAX_DEPTH = 64
"""Levels of nesting that a claim may have; ours have three."""

SECONDS_A_DAY = 86_400

_SEGMENTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_KID = re.compile(r"[A-Za-z0-9_-]{43}")
_HEADER_MEMBERS = {"alg", "typ", "kid"}
_TIMES = ("iat", "nbf", "exp")


class Malformed(Exception):
    """A token that a strict verifier refuses before it looks at a signature.

    `reason` is a sentence for people; it never repeats text of the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A well-formed token; nothing in it is trusted until its signature has verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes
    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedToken(SignedToken):
    """A well-formed license key."""

    jti: UUID | None
    sha256: str
    iat: int
    nbf: int
    exp: int


def parse(token: str) -> ParsedToken:
    """Return the parts of a compact JWS.

    Raises Malformed for all that contract.md section 5 refuses (RFC 7515 7.1, RFC 8725 3.1, 3.11).
    `jti` is None unless it is a UUID in lower case: no other one has a record.
    """
    parts = parse_signed(token, typ="JWT", max_characters=MAX_CHARACTERS)
    iat, nbf, exp = (time_claim(parts.claims, name) for name in _TIMES)
    return ParsedToken(
        header=parts.header,
        claims=parts.claims,
        signing_input=parts.signing_input,
        signature=parts.signature,
        kid=parts.kid,
        jti=_identifier(parts.claims.get("jti")),
        sha256=sha256_of(token),
        iat=iat,
        nbf=nbf,
        exp=exp,
    )


def parse_signed(token: str, *, typ: str, max_characters: int) -> SignedToken:
    """Return the parts of a compact JWS of this type, whatever it claims; raises Malformed."""
    if len(token) > max_characters:
        raise Malformed(f"It is longer than {max_characters // 1024} KiB.")
    segments = _SEGMENTS.fullmatch(token)
    if segments is None:
        raise Malformed("It is not three parts of base64url characters with two dots between.")
    header, kid = _header(segments[1], typ)
    return SignedToken(
        header=header,
        claims=_object(segments[2], "payload"),
        signing_input=f"{segments[1]}.{segments[2]}".encode("ascii"),
        signature=_decoded(segments[3], "signature"),
        kid=kid,
    )


def sha256_of(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal, as its record stores it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding.

    Raises ValueError for a wrong length or set trailing bits: each value has one encoding only.
    """
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64url(data) != text:
        raise ValueError("This is not canonical base64url.")
    return data


def license_claims(
    *,
    license: License,
    jti: UUID,
    issued_at: datetime,
    expires_at: datetime,
    status_list_uri: str,
    status_index: int,
) -> dict[str, Any]:
    """Return the claims of one license key, as contract.md section 1 lists them.

    Both times must be whole seconds, so that row and token agree; raises ValueError otherwise.
    Raises Refused when the license's custom claims do not fit its plan.
    """
    if issued_at.microsecond or expires_at.microsecond:
        raise ValueError("A license key begins and ends at whole seconds.")
    standard = standard_claims(license=license, jti=jti, issued_at=issued_at, expires_at=expires_at)
    status = {"status_list": {"idx": status_index, "uri": status_list_uri}}
    return {**_checked_custom_claims(license), **standard, "status": status}


def standard_claims(
    *, license: License, jti: UUID, issued_at: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Return the claims of one license key that every plan has, but for `status`."""
    issued = int(issued_at.timestamp())
    usage_urn = f"{USAGE_URN_PREFIX}{license.usage}"
    return {
        "iss": license.issuer,
        "aud": license.audience,
        "name": license.holder_name,
        "sub": str(license.subscription_id),
        "tid": str(license.tenant_id),
        "tenant_ctry": license.country,
        "azp": license.authorized_party,
        "acr": f"{license.plan_urn} {usage_urn} {PROVIDER_URN}",
        "auth_apps": str(license.authorized_application_id),
        "jti": str(jti),
        "iat": issued,
        "nbf": issued,
        "exp": int(expires_at.timestamp()),
    }


def status_list_uri(number: int) -> str:
    """Return the address of a status list, from the setting and never from a request's Host."""
    return f"{settings.PUBLIC_URL}/public/status/{number}"


def expires_in_days(iat: int, exp: int) -> int:
    """Return the days from `iat` to `exp`, rounded up (contract.md section 2)."""
    return -((iat - exp) // SECONDS_A_DAY)


def _checked_custom_claims(license: License) -> dict[str, Any]:
    """Return the custom claims, completed and checked: the row may be older than the rules."""
    claims: dict[str, Any] = custom_claims.completed(license.custom_claims)
    try:
        custom_claims.validate_for_plan(license.plan_urn, claims)
    except ValidationError as error:
        raise Refused(
            "The license key cannot be signed with these custom claims. "
            + " ".join(error.messages)
            + " Ask the vendor to correct the plan, then generate new license keys."
        ) from error
    return claims


def _decoded(segment: str, name: str) -> bytes:
    try:
        return from_base64url(segment)
    except ValueError:
        raise Malformed(f"Its {name} is not canonical base64url.") from None


def _object(segment: str, name: str) -> dict[str, Any]:
    data = _decoded(segment, name)
    try:
        value = _JSON.decode(data.decode("utf-8"))
    # Numbers with too many digits raise ValueError too; deep nesting raises RecursionError.
    except (ValueError, RecursionError):
        raise Malformed(f"Its {name} is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Malformed(f"Its {name} is not a JSON object.")
    brackets = data.count(b"{") + data.count(b"[")
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise Malformed(f"Its {name} is nested too deeply.")
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise Malformed("It names a member twice.")
    return found


def _no_constant(_name: str) -> None:
    raise Malformed("It holds NaN or Infinity, which are not JSON.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed("It holds a number that is too large.")
    return value


_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    parts = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(part, levels - 1) for part in parts)


@lru_cache(maxsize=64)
def _header(segment: str, typ: str) -> tuple[dict[str, Any], str]:
    """Return a header and its `kid`; cached: all tokens of one signing key have the same."""
    header = _object(segment, "header")
    return header, _checked_header(header, typ)


def _checked_header(header: Mapping[str, Any], typ: str) -> str:
    """Return the `kid` of a header that is exactly ours (RFC 8725 3.1, 3.11)."""
    if not header.keys() <= _HEADER_MEMBERS:
        raise Malformed("Its header has other members than alg, typ and kid.")
    if header.get("alg") != "RS256":
        raise Malformed("Its algorithm is not RS256.")
    if header.get("typ") != typ:
        raise Malformed(f"Its type is not {typ}.")
    kid = header.get("kid")
    if not isinstance(kid, str) or _KID.fullmatch(kid) is None:
        raise Malformed("Its kid is not a string of 43 base64url characters.")
    return kid


def time_claim(claims: Mapping[str, Any], name: str) -> int:
    """Return a claim in seconds since 1970; raises Malformed unless it is a whole number."""
    value = claims.get(name)
    # The type is compared exactly: true is an int to Python, and 1.0 equals 1.
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise Malformed(f"Its {name} is not an integer between 0 and {MAX_TIME}.")
    return value


def _identifier(value: object) -> UUID | None:
    return UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else None
