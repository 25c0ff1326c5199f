"""A forger for tokens that no client library would make."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ABSENT = object()
"""Stands for a member that is left out."""


def b64(data: bytes | str) -> str:
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Forger:
    """Signs anything with a real key that the portal knows by `kid`."""

    key: RSAPrivateKey
    kid: str
    claims: dict[str, Any]
    stranger: RSAPrivateKey

    def sign(self, header: str, payload: str, key: RSAPrivateKey | None = None) -> str:
        """Return the two segments, which are taken as they are, with a good signature."""
        signing_input = f"{header}.{payload}"
        return f"{signing_input}.{b64(self.raw_signature(signing_input, key))}"

    def raw_signature(self, signing_input: str, key: RSAPrivateKey | None = None) -> bytes:
        signer = key or self.key
        return signer.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())

    def header(self, **changes: Any) -> str:
        return b64(_json({"alg": "RS256", "typ": "JWT", "kid": self.kid} | changes))

    def payload(self, **changes: Any) -> str:
        return b64(_json(self.claims | changes))

    def token(
        self, *, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None
    ) -> str:
        return self.sign(self.header(**(header or {})), self.payload(**(claims or {})))

    def raw(self, *, header: bytes | str | None = None, payload: bytes | str | None = None) -> str:
        """Sign with header or payload given as the very bytes under the base64url."""
        return self.sign(
            self.header() if header is None else b64(header),
            self.payload() if payload is None else b64(payload),
        )

    def request(self, token: str) -> dict[str, str]:
        """Return what a terminal sends for a token with these claims."""
        return {
            "key": token,
            "key_type": "primary_key",
            "subject": self.claims["sub"],
            "consumer_tenant_id": self.claims["tid"],
            "authorized_party": self.claims["azp"],
            "authorized_application_id": self.claims["auth_apps"],
            "issuer": self.claims["iss"],
            "broker_id": "urn:oneimlx:lic:pvdr:pi",
        }

    def payload_text(self) -> str:
        return json.dumps(self.claims)

    def header_text(self) -> str:
        return json.dumps({"alg": "RS256", "typ": "JWT", "kid": self.kid})


def _json(members: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in members.items() if value is not ABSENT})
