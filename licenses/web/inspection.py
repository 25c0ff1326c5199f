"""Inspect Claims: header and claims of a key, each with an explanation."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from licenses.tokens import ParsedToken
from subscriptions import custom_claims

MEANINGS = {
    "alg": "Signature algorithm: RSA with SHA-256",
    "typ": "A JSON Web Token",
    "kid": "The signing key: its certificate or the key set has the public part",
    "iss": "Who issued the license",
    "aud": "For whom: the holder's name, then the tenant audience",
    "name": "The holder's name",
    "sub": "Your subscription",
    "tid": "Your tenant",
    "tenant_ctry": "The country of your tenant (ISO 3166-1 alpha-3)",
    "azp": "What the license authorizes",
    "acr": "Plan, usage and provider",
    "auth_apps": "The authorized application id",
    "jti": "The identifier of this very key",
    "iat": "Signed",
    "nbf": "Valid from",
    "exp": "Expires",
    "status": "Where the published status of this key stands",
    **custom_claims.MEANINGS,
}
UNKNOWN = "A claim of your plan"
DATES = {"iat", "nbf", "exp"}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One member of a header or payload."""

    name: str
    text: str
    meaning: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A decoded key: its members for people, and the raw JSON."""

    header: list[Claim]
    claims: list[Claim]
    raw: str


def inspect(parsed: ParsedToken) -> Inspection:
    """Return what a key says, member by member."""
    return Inspection(
        header=[_claim(name, value) for name, value in parsed.header.items()],
        claims=[_claim(name, value) for name, value in parsed.claims.items()],
        raw=json.dumps(
            {"header": parsed.header, "payload": parsed.claims}, indent=2, ensure_ascii=False
        ),
    )


def _claim(name: str, value: Any) -> Claim:
    return Claim(
        name=name,
        text=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
        meaning=MEANINGS.get(name, UNKNOWN),
        at=datetime.fromtimestamp(value, tz=UTC) if name in DATES else None,
    )
