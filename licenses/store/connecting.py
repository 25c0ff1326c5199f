"""What goes wrong with the database or the disk, as a sentence of a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError

from portal.core.refusal import Refused


@contextmanager
def as_command_errors(ending: str = "") -> Iterator[None]:
    """Turn refusals, and what the database and the disk say, into a sentence and status 1."""
    try:
        yield
    except Refused as refusal:
        raise CommandError(f"{refusal.sentence}{ending}") from refusal
    except DatabaseError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise CommandError(f"The database refuses, or is away: {why}.{ending}") from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.{ending}") from error
