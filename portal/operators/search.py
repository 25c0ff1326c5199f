"""What operators look for: an identifier, a key id, an email address, a domain."""

import re
import uuid
from collections.abc import Iterable
from email.utils import parseaddr
from typing import Any

from django.db.models import Model, Q

KEY_ID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""The thumbprint of a signing key, in the header of the license keys that it signed."""

MAX_CHARACTERS = 500
"""The longest term that may be found: nothing that is searched holds more, nor can SQLite."""

MIN_DIGITS = 6
HEX = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},31}}", re.ASCII)

DOMAIN = re.compile(r"@?(?:[a-z0-9-]+\.)+[a-z0-9-]{2,}", re.IGNORECASE | re.ASCII)


def conditions(
    model: type[Model],
    term: str,
    identifiers: Iterable[str],
    key_ids: Iterable[str],
    emails: Iterable[str],
    texts: Iterable[str],
) -> Q | None:
    """Return the condition for rows that the term identifies, or None for other text.

    What looks like a domain may be a name as well, so `texts` are searched too.
    """
    found = identifier(term)
    if found is not None:
        return _any(model, identifiers, "", found)
    if KEY_ID.fullmatch(term) and key_ids:
        return _any(model, key_ids, "", term)
    if not emails:
        return None
    if DOMAIN.fullmatch(term):
        named = _any(model, [text for text in texts if "__starts" not in text], "__shows", term)
        return named | _any(model, emails, "__iendswith", "@" + term.removeprefix("@"))
    return _any(model, emails, "__iexact", term) if "@" in term else None


def address_in(term: str) -> str:
    """Return the address of "Name <address>", as mail programs copy it; other text as it is."""
    address = parseaddr(term)[1] if term.rstrip().endswith(">") else ""
    return address if "@" in address else term


def identifier(term: str) -> uuid.UUID | None:
    """Return the term as an identifier, None for other text."""
    try:
        return uuid.UUID(term)
    except ValueError:
        return None


def beginning(term: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and last identifier that begin so, None for what is no such beginning.

    At least MIN_DIGITS of them: people read out the first block.
    """
    digits = term.replace("-", "").lower()
    if not HEX.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def _any(model: Any, columns: Iterable[str], lookup: str, value: object) -> Q:
    """Return the condition that one of the columns meets the lookup.

    Beside others, a condition on a joined table would read the whole join, so those are looked up
    in a subquery, by their own index.
    """
    matches = Q(pk__in=[])
    for column in columns:
        relation, _, theirs = column.partition("__")
        if not theirs:
            matches |= Q((column + lookup, value))
            continue
        related: Any = model._meta.get_field(relation).related_model
        rows = related._base_manager.filter(Q((theirs + lookup, value)))
        matches |= Q((f"{relation}__in", rows))
    return matches
