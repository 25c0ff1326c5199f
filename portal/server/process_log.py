"""Lines of the process log: one line per event, foreign text escaped and cut.

Django and libraries write to it too, in messages, arguments and exceptions that carry what a
request sent. So the last step, the formatter, escapes what it writes, however it came in.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from traceback import TracebackException
from types import TracebackType
from typing import Any, override

from portal.core.outages import in_words, is_outage
from portal.programs.client_address import client_address

MAX_CHARACTERS = 300
"""Characters of one foreign value that a log line keeps."""

MAX_MESSAGE_CHARACTERS = 2000
"""Characters of a whole message that a log line keeps."""

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The reference of the request under way; error pages show the same."""


def plain(value: str, limit: int = MAX_CHARACTERS) -> str:
    """Return foreign text as one printable line, cut at `limit` characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return shown if len(shown) <= limit else f"{shown[:limit]}… ({len(shown)} characters)"


class ForeignTextFilter(logging.Filter):
    """Cuts every string argument, so that one long value does not hide the rest of a line."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_cut, record.args))
        elif isinstance(record.args, Mapping):
            record.args = {name: _cut(value) for name, value in record.args.items()}
        return True


class LineFormatter(logging.Formatter):
    """Time (UTC), level, reference, logger, message; then the traceback of an error of ours."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}Z {levelname} [{reference}] {name}: {message}",
            datefmt="%Y-%m-%dT%H:%M:%S",
            style="{",
        )
        self.converter = time.gmtime

    @override
    def format(self, record: logging.LogRecord) -> str:
        shown = logging.makeLogRecord(record.__dict__)
        shown.reference = request_id.get()
        shown.msg, shown.args = plain(_message(record), MAX_MESSAGE_CHARACTERS), ()
        shown.exc_text = None  # what another formatter may have kept there
        if _is_explained(record):
            shown.exc_info = None
        return super().format(shown)

    @override
    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Keep the lines of code, and one line for each exception."""
        if ei[1] is None:
            return ""
        return "".join(_traceback(TracebackException.from_exception(ei[1]))).rstrip("\n")


def _message(record: logging.LogRecord) -> str:
    """Return the message, with user and address where a client was refused (status 4xx)."""
    message = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if is_outage(error):
        return f"{message}: {in_words(error)}: {type(error).__name__}: {error}"
    if not _is_refusal(record):
        return message
    request: Any = getattr(record, "request", None)
    user = getattr(request, "_cached_user", None)  # only if already read: no further query
    name = getattr(user, "email", "") or "nobody signed in"
    return f"{message} ({name}, {client_address(request) or 'unknown address'})"


def _is_explained(record: logging.LogRecord) -> bool:
    """Return whether the line says it all, and a traceback would only show our own layers."""
    return _is_refusal(record) or is_outage(record.exc_info[1] if record.exc_info else None)


def _is_refusal(record: logging.LogRecord) -> bool:
    status = getattr(record, "status_code", 0)
    return hasattr(record, "request") and isinstance(status, int) and 400 <= status < 500


def _traceback(error: TracebackException) -> Iterator[str]:
    if error.__cause__ is not None:
        yield from _traceback(error.__cause__)
        yield "The cause of:\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _traceback(error.__context__)
        yield "While this was handled:\n"
    yield "Traceback (most recent call last):\n"
    yield from error.stack.format()
    yield f"{error.exc_type_str}: {plain(str(error))}\n"
    for one in error.exceptions or ():
        yield from _traceback(one)


def _cut(value: object) -> object:
    return plain(value) if isinstance(value, str) else value
