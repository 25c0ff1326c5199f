"""What a service token looks like, so that it is recognised wherever it turns up.

`plt_`, 43 base62 digits for 256 random bits, and 6 for the CRC-32 of what stands before them.
Letters and digits only: a double click selects all of it. The checksum tells a whole token from a
cut or mistyped one, and from chance, before the database is asked.
"""

import re
import secrets
import string
import zlib

PREFIX = "plt_"
SECRET_BITS = 256
SECRET_DIGITS = 43
CHECKSUM_DIGITS = 6

SERVICE_TOKEN = re.compile(r"\bplt_[0-9A-Za-z]{49}\b", re.ASCII)
"""Finds whole tokens in a text; docs/security.md shows it for secret scanners."""

RESEMBLES = re.compile(r"plt_[0-9A-Za-z]{16,}", re.ASCII)
"""Finds the beginning of a token too: what is refused or cut out need not be whole."""

LICENSE_KEY = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}", re.ASCII)
"""Finds the head and the beginning of the claims of a license key, as of any JSON Web Token."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def generate() -> str:
    """Return a new token."""
    body = PREFIX + _base62(secrets.randbits(SECRET_BITS), SECRET_DIGITS)
    return body + _checksum(body)


def is_whole(text: str) -> bool:
    """Return whether the text is a token whose checksum is right."""
    found = SERVICE_TOKEN.fullmatch(text)
    return bool(found) and text[-CHECKSUM_DIGITS:] == _checksum(text[:-CHECKSUM_DIGITS])


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_DIGITS)


def _base62(number: int, length: int) -> str:
    """Return the number in base 62, the most significant digit first, with zeros in front."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
