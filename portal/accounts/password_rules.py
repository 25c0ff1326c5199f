"""What a new password must not be: stolen before, or made of what anybody would try here.

Nothing of a password leaves the machine. The list that comes with the portal is a Bloom filter:
it knows every word that it was made of, and takes one other password in 100,000 for one of them.
"""

import hashlib
import logging
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

logger = logging.getLogger("portal.accounts")

MIN_LENGTH = 10
"""Characters of the shortest password; shorter words need not be in the list."""

FILTER_FILE = Path(__file__).with_name("breached_passwords.bloom")
BITS_FOR_EACH = 24
HASHES = 17
"""The best number for BITS_FOR_EACH: ln 2 times as many."""

SHA1_DIGITS = 40

# fmt: off
OWN_WORDS = frozenset({
    "admin", "administrator", "commercial", "community", "customer", "enterprise", "generate",
    "license", "licence", "login", "manager", "oneimlx", "operator", "owner", "perpetual",
    "perpetualintelligence", "portal", "primary", "secondary", "subscription", "tenant",
    "terminal", "viewer", "welcome",
})
# fmt: on
"""What anybody would try here, beside the portal's name and host (docs/security.md)."""

MIN_OWN_WORD = 4
"""Letters of the shortest part of the portal's name and host that counts."""

MIN_BESIDE = 8
"""Letters and digits that a password has beside such words."""


class BreachedPasswordValidator:
    """Refuses passwords that are in the portal's list, or in BREACHED_PASSWORDS_FILE."""

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's)
        """Raise ValidationError where somebody has already used this password and lost it."""
        if in_filter(_filter(), password) or _in_file(password):
            raise ValidationError(
                "This password is known from data that was stolen elsewhere, so it is among the "
                "first that attackers try. Choose one that you use nowhere else: four random "
                "words, or one that a password manager makes.",
                code="password_breached",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence."""
        return "Your password must not be known from stolen data."


class OwnWordsValidator:
    """Refuses passwords that are little more than words of this portal."""

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's)
        """Raise ValidationError where too little remains without OWN_WORDS and the like."""
        rest, found = password.lower(), []
        for word in sorted(OWN_WORDS | _words_of_this_portal(), key=len, reverse=True):
            if word in rest:
                rest = rest.replace(word, " ")
                found.append(word)
        if found and sum(character.isalnum() for character in rest) < MIN_BESIDE:
            raise ValidationError(
                f"Without “{found[0]}”, which anybody would try here, the password is too short. "
                f"Add at least {MIN_BESIDE} letters or digits that have nothing to do with this "
                "portal.",
                code="password_of_own_words",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence."""
        return "Your password must not be made of words of this portal."


def make_filter(words: Collection[str]) -> bytes:
    """Return the Bloom filter of these words."""
    bits = bytearray(len(words) * BITS_FOR_EACH // 8)
    for word in words:
        for position in _positions(word, len(bits) * 8):
            bits[position >> 3] |= 1 << (position & 7)
    return bytes(bits)


def in_filter(bits: bytes, password: str) -> bool:
    """Return whether a filter knows the password, in upper or lower case."""
    return all(
        bits[position >> 3] >> (position & 7) & 1
        for position in _positions(as_listed(password), len(bits) * 8)
    )


def as_listed(password: str) -> str:
    """Return the form in which passwords are compared with the list."""
    return password.strip().lower()


def _positions(word: str, bits: int) -> Iterator[int]:
    digest = hashlib.shake_128(word.encode("utf-8", "surrogatepass")).digest(HASHES * 4)
    return (int.from_bytes(digest[start : start + 4]) % bits for start in range(0, len(digest), 4))


@cache
def _filter() -> bytes:
    return FILTER_FILE.read_bytes()


def _in_file(password: str) -> bool:
    """Return whether BREACHED_PASSWORDS_FILE has the password, as it stands.

    A disk that fails lets the password pass: the portal's own list has been asked by then.
    """
    path = settings.BREACHED_PASSWORDS_FILE
    if path is None:
        return False
    digest = hashlib.sha1(
        password.encode("utf-8", "surrogatepass"), usedforsecurity=False
    ).hexdigest()
    try:
        with path.open("rb") as file:
            return has_line(file, digest.upper().encode())
    except OSError as error:
        logger.error("BREACHED_PASSWORDS_FILE was not read: %s", error.strerror)
        return False


def has_line(file: BinaryIO, digest: bytes) -> bool:
    """Return whether a file of sorted lines, SHA-1 in upper case and ":COUNT", has the digest.

    It is searched in place: of a thousand million lines some 40 are read.
    """
    size = file.seek(0, 2)

    def next_line(position: int) -> bytes:
        """Return the digest of the first line that begins at or after a byte; high at the end."""
        file.seek(max(position - 1, 0))
        if position:
            file.readline()
        return file.readline()[:SHA1_DIGITS].upper() or b"~"

    return next_line(bisect_left(range(size), digest, key=next_line)) == digest


@cache
def _words_of_this_portal() -> frozenset[str]:
    name, host = settings.PORTAL_NAME.lower(), urlsplit(settings.PUBLIC_URL).hostname or ""
    parts = {*name.split(), name.replace(" ", ""), *host.replace("-", ".").split(".")}
    return frozenset(part for part in parts if len(part) >= MIN_OWN_WORD)
