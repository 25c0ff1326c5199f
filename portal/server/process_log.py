"""The process log: lines of `portal.server.log_lines`, with what is known of the request."""

import logging
import logging.config
import re
import sys
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Any, override

from django.conf import settings
from django.http import HttpRequest

from portal.core.outages import in_words, is_outage
from portal.programs.client_address import client_address
from portal.server.log_lines import JsonLines, TextLines

logger = logging.getLogger("portal.process")

under_way: ContextVar[HttpRequest | None] = ContextVar("under_way", default=None)
"""The request under way; error pages show its `id`."""

_MAY_BE_SECRET = re.compile(
    r"(?<=/)(?![0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)(?=[^/\s]*[0-9A-Z])[\w:=.~-]{17,}"
)
"""A part of a path that may be the secret of a mailed link: long, with a digit or a capital.

Identifiers (UUID) are none.
"""


def without_secrets(text: str) -> str:
    """Return text with a path as it may stand in the log: without what may be a secret."""
    return _MAY_BE_SECRET.sub("…", text)


def about(request: HttpRequest) -> dict[str, str]:
    """Return what is known of a request, without reading anything: request_id, tenant, actor."""
    found = {
        "request_id": getattr(request, "id", ""),
        "trace_id": getattr(request, "trace_id", ""),
        "tenant": str(getattr(request, "tenant_id", None) or ""),
        "actor": str(getattr(getattr(request, "_cached_user", None), "pk", None) or ""),
    }
    return {key: value for key, value in found.items() if value}


class _OfRequests(TextLines):
    """Adds the request under way, and says in words who was refused and that a database is away."""

    @override
    def context(self) -> dict[str, Any]:
        request = under_way.get()
        return {} if request is None else about(request)

    @override
    def message(self, record: logging.LogRecord) -> str:
        """Return the message, with who was refused (status 4xx), by identifier and address."""
        message = record.getMessage()
        request: Any = getattr(record, "request", None)
        if request is not None:
            message = without_secrets(message)
        error = record.exc_info[1] if record.exc_info else None
        if is_outage(error):
            return f"{message}: {in_words(error)}: {type(error).__name__}: {error}"
        if not _is_refusal(record):
            return message
        user = getattr(request, "_cached_user", None)  # only if already read: no further query
        pk = getattr(user, "pk", None)
        who = f"user {pk}" if pk else "nobody signed in"
        return f"{message} ({who}, {client_address(request) or 'unknown address'})"

    @override
    def is_explained(self, record: logging.LogRecord) -> bool:
        return _is_refusal(record) or is_outage(record.exc_info[1] if record.exc_info else None)


class ProcessText(_OfRequests):
    """Lines of text."""


class ProcessJson(_OfRequests, JsonLines):
    """Lines of JSON."""


def configure(config: dict[str, Any]) -> None:
    """Configure logging as Django does; as JSON, Python's own words about errors become lines."""
    logging.config.dictConfig(config)
    if settings.LOG_FORMAT == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _log(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: _log(args.exc_type, args.exc_value, args.exc_traceback)


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        _log(kind, error, traceback)


def _log(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    exc_info = (kind, error or kind(), traceback)
    logger.critical("Nothing has caught this error", exc_info=exc_info)


def _is_refusal(record: logging.LogRecord) -> bool:
    status = getattr(record, "status_code", 0)
    return hasattr(record, "request") and isinstance(status, int) and 400 <= status < 500
