"""Lines of a log, as text or as JSON: one line per event, foreign text escaped and cut.

Django and libraries write to it too, in messages, arguments and exceptions that carry what a
request sent. So the last step, the formatter, escapes what it writes, however it came in.
granian's main process uses this without Django; `portal.server.process_log` adds what is known of
a request.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from traceback import TracebackException
from types import TracebackType
from typing import Any, override

from portal.core.token_format import LICENSE_KEY, PREFIX, RESEMBLES

MAX_CHARACTERS = 300
"""Characters of one foreign value that a log line keeps."""

MAX_MESSAGE_CHARACTERS = 2000
"""Characters of a whole message that a log line keeps."""

_TOKEN = re.compile(rf"{LICENSE_KEY.pattern}(?:\.[\w-]*)?|{RESEMBLES.pattern}")

_ROW = re.compile(r"\nDETAIL: .*", re.DOTALL)
_EMAIL_ADDRESS = re.compile(r"[\w.!#$%&*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")


def plain(value: str, limit: int = MAX_CHARACTERS) -> str:
    """Return foreign text as one printable line, without tokens, cut at `limit` characters.

    Neither a whole license key (JWT) nor a service token is in any log.
    """
    if "eyJ" in value or PREFIX in value:
        value = _TOKEN.sub("(a token)", value)
    if not value.isprintable():
        value = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in value
        )
    return value if len(value) <= limit else f"{value[:limit]}… ({len(value)} characters)"


def of_nobody(text: str) -> str:
    """Return text without what names people: a log on disk outlives their accounts.

    Errors of mail servers repeat addresses, and those of PostgreSQL whole rows, behind DETAIL.
    """
    text = _ROW.sub(" (the row is left out)", text)
    return _EMAIL_ADDRESS.sub("(an email address)", text) if "@" in text else text


class ForeignTextFilter(logging.Filter):
    """Cuts every string argument, so that one long value does not hide the rest of a line."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_cut, record.args))
        elif isinstance(record.args, Mapping):
            record.args = {name: _cut(value) for name, value in record.args.items()}
        return True


class TextLines(logging.Formatter):
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
        shown.reference = self.context().get("request_id", "-")
        shown.msg, shown.args = self.line(record), ()
        shown.exc_text = None  # what another formatter may have kept there
        if self.is_explained(record):
            shown.exc_info = None
        return super().format(shown)

    def line(self, record: logging.LogRecord) -> str:
        """Return the message in one line, without tokens and email addresses."""
        return plain(of_nobody(self.message(record)), MAX_MESSAGE_CHARACTERS)

    def context(self) -> dict[str, Any]:
        """Return what is known of the request under way, by key."""
        return {}

    def message(self, record: logging.LogRecord) -> str:
        """Return the message as it stands."""
        return record.getMessage()

    def is_explained(self, record: logging.LogRecord) -> bool:
        """Return whether the line says it all, and a traceback would only show our own layers."""
        del record
        return False

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


class JsonLines(TextLines):
    """One JSON object a line: time, level, logger, message, and what is known of the request.

    An error of ours adds `exception`, its traceback.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": self.line(record),
            **self.context(),
        }
        if record.exc_info and record.exc_info[1] and not self.is_explained(record):
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return as_json(line)


as_json = json.JSONEncoder(ensure_ascii=False).encode
"""Writes one line; what is no printable text was escaped before."""


def moment(seconds: float) -> str:
    """Return a moment (Unix time) as ISO 8601, UTC, with milliseconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{int(seconds % 1 * 1000):03}Z"


def granian_config(log_format: str) -> dict[str, Any]:
    """Return the configuration of granian's own log in the format of all others."""
    lines = {"json": "JsonLines", "text": "TextLines"}[log_format]
    return {
        "filters": {"foreign": {"()": "portal.server.log_lines.ForeignTextFilter"}},
        "formatters": {"line": {"()": f"portal.server.log_lines.{lines}"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "filters": ["foreign"],
                "formatter": "line",
            }
        },
        "loggers": {"_granian": {"handlers": ["console"], "propagate": False}},
    }


def _traceback(error: TracebackException) -> Iterator[str]:
    if error.__cause__ is not None:
        yield from _traceback(error.__cause__)
        yield "The cause of:\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _traceback(error.__context__)
        yield "While this was handled:\n"
    yield "Traceback (most recent call last):\n"
    yield from error.stack.format()
    yield f"{error.exc_type_str}: {plain(of_nobody(str(error)))}\n"
    for one in error.exceptions or ():
        yield from _traceback(one)


def _cut(value: object) -> object:
    return plain(value) if isinstance(value, str) else value
