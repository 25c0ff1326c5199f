"""Lines of the process log: one line an event, foreign text escaped and cut."""

import logging
import time
from contextvars import ContextVar

MAX_CHARACTERS = 300
"""Characters of one foreign value that a log line keeps."""

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The reference of the request under way; error pages show the same."""


def plain(value: str) -> str:
    """Return text of a stranger as one printable line, cut at MAX_CHARACTERS characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return (
        shown
        if len(shown) <= MAX_CHARACTERS
        else f"{shown[:MAX_CHARACTERS]}… ({len(shown)} characters)"
    )


class ForeignTextFilter(logging.Filter):
    """Escapes and cuts every string argument, so that no request can forge a log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(plain(a) if isinstance(a, str) else a for a in record.args)
        return True


class LineFormatter(logging.Formatter):
    """Time (UTC), level, reference, logger, message."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}Z {levelname} [{reference}] {name}: {message}",
            datefmt="%Y-%m-%dT%H:%M:%S",
            style="{",
        )
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the reference of the request that it belongs to."""
        record.reference = request_id.get()
        return super().format(record)
