"""What an offline bundle holds, and the signature over all of it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings

from licenses import keys, tokens
from licenses.models import SigningKey
from portal.core.refusal import Refused

TYPE = "license-bundle+jwt"
NAME = "manifest.jwt"
JWKS = "jwks.json"
CHECKSUMS = "SHA256SUMS"
README = "README.txt"
LICENSE_FILE = re.compile(r"license-(primary|secondary)\.json")
STATUS_LIST = re.compile(r"status-[1-9][0-9]{0,8}\.jwt")


def is_member(name: str) -> bool:
    """Return whether a bundle may have a member of this name."""
    known = name in {NAME, JWKS, CHECKSUMS, README}
    return known or bool(LICENSE_FILE.fullmatch(name) or STATUS_LIST.fullmatch(name))


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file in hexadecimal."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def sign(
    files: Mapping[str, bytes], *, subscription_id: UUID, signing_key: SigningKey, now: datetime
) -> str:
    """Return the manifest of the files as a JWS; raises Refused when it cannot be signed."""
    claims = {
        "iss": settings.PUBLIC_URL,
        "sub": str(subscription_id),
        "iat": int(now.timestamp()),
        "files": digests(files),
    }
    return keys.sign(signing_key, claims, typ=TYPE)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a verified manifest says."""

    subscription: str
    made_at: datetime


def verify(
    token: bytes, files: Mapping[str, bytes], trusted: Mapping[str, RSAPublicKey]
) -> Manifest:
    """Return the manifest when a trusted key signed exactly these files; raises Refused."""
    try:
        parsed = tokens.parse_signed(
            token.decode("ascii"), typ=TYPE, max_characters=tokens.MAX_CHARACTERS
        )
        issued_at = tokens.time_claim(parsed.claims, "iat")
    except (tokens.Malformed, UnicodeDecodeError) as error:
        raise Refused(
            f"The bundle's {NAME} is not a manifest. Download the bundle again."
        ) from error
    key = trusted.get(parsed.kid)
    if key is None:
        raise Refused(
            "The bundle is signed by a key that the trusted JWK Set does not have. If it was "
            "fetched long ago, fetch it from the portal again, apart from the bundle."
        )
    if not keys.verify_with(key, parsed):
        raise Refused("The signature of the bundle is not valid. Download the bundle again.")
    if parsed.claims.get("files") != digests(files):
        raise Refused(
            "The bundle does not hold exactly the files that were signed. Download it again."
        )
    return Manifest(
        subscription=str(parsed.claims.get("sub")),
        made_at=datetime.fromtimestamp(issued_at, UTC),
    )


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Return the lines that `sha256sum --check` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests(files).items()).encode()
