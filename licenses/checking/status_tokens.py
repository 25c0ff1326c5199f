"""Status List Tokens: a status list, signed, and read again without a database.

Written and read as draft-ietf-oauth-status-list sections 5.1 and 8.3 say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from licenses import keys, status_list, tokens
from licenses.models import SigningKey, StatusList
from licenses.status_list import Entry

TYPE = "statuslist+jwt"
LIFETIME_SECONDS = 86_400
"""Seconds for which a signed list is valid."""

MAX_CHARACTERS = 128 * 1024
"""The longest token that is read; one of 131,072 entries has at most 59,000."""


def sign(signing_key: SigningKey, number: int, lst: str, *, issued_at: int) -> str:
    """Return the token of a list; raises Refused when it cannot be signed."""
    claims = {
        "sub": tokens.status_list_uri(number),
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS,
        "ttl": status_list.TTL_SECONDS,
        "status_list": {"bits": status_list.BITS, "lst": lst},
    }
    return keys.sign(signing_key, claims, typ=TYPE)


def signed_now(row: StatusList, signing_key: SigningKey, now: datetime) -> str:
    """Return the token of a list as its keys are now."""
    lst = status_list.compressed(status_list.entries(row, now), row.size)
    return sign(signing_key, row.number, lst, issued_at=int(now.timestamp()))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedList:
    """A list whose signature has verified."""

    uri: str
    lst: str

    def entry(self, index: int) -> Entry:
        """Return what it says of an index; raises ValueError when it says nothing."""
        return Entry(status_list.read_entry(self.lst, index, bits=status_list.BITS))


def opened(token: str, published_keys: Mapping[str, RSAPublicKey]) -> OpenedList:
    """Return the list in a token, whatever its age; raises ValueError unless it is one of ours."""
    try:
        parsed = tokens.parse_signed(token, typ=TYPE, max_characters=MAX_CHARACTERS)
    except tokens.Malformed as malformed:
        raise ValueError(malformed.reason) from malformed
    key = published_keys.get(parsed.kid)
    if key is None or not keys.verify_with(key, parsed):
        raise ValueError("No published key has signed it.")
    uri, entries = parsed.claims.get("sub"), parsed.claims.get("status_list")
    if not isinstance(uri, str) or not isinstance(entries, dict):
        raise ValueError("It holds no list.")
    lst = entries.get("lst")
    if entries.get("bits") != status_list.BITS or not isinstance(lst, str):
        raise ValueError(f"It holds no list of {status_list.BITS} bits an entry.")
    return OpenedList(uri=uri, lst=lst)
