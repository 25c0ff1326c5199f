"""Whole numbers in requests: identifiers in addresses and in forms.

SQLite and PostgreSQL keep 64 bits, and SQLite's driver raises OverflowError for more.
"""

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.urls import register_converter

MAX_ID = 2**63 - 1


class IdConverter:
    """A number from 0 to MAX_ID in an address: `<id:member_id>`; others match no address (404)."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        """Return the number; raises ValueError, for no match, above MAX_ID."""
        number = int(value)
        if number > MAX_ID:
            raise ValueError(f"{value} is no identifier")
        return number

    def to_url(self, value: int) -> str:
        """Return the number in digits."""
        return str(value)


register_converter(IdConverter, "id")


def is_key(model: type[Model], text: str) -> bool:
    """Return whether the text could be the primary key of a row."""
    try:
        value = model._meta.pk.to_python(text)
    except ValidationError:
        return False
    return not isinstance(value, int) or 0 <= value <= MAX_ID
