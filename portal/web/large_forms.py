"""Forms that come back with a sentence when far more was typed or pasted than Django reads."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

KEPT_BYTES = 131_072
"""Bytes that are read of a form that is too large: fields after them count as empty."""

DROPPED_BYTES = 16 * 1024 * 1024
"""Most bytes that are read and dropped, so that the browser reads the answer."""


def takes_large_form[View: Callable[..., Any]](view: View) -> View:
    """Let the view see the beginning of a multipart form that is too large, instead of 400.

    Only for views whose form refuses a text of KEPT_BYTES: what was cut must never pass.
    """
    view.takes_large_form = True  # type: ignore[attr-defined]
    return view


class LargeFormMiddleware:
    """Reads the forms of views that `takes_large_form`, before anything else asks for them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on: `process_view` decides."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: Any) -> None:
        """Read the form where the view asked for it."""
        if (
            getattr(view, "takes_large_form", False)
            and request.method == "POST"
            and request.content_type == "multipart/form-data"
            and _length(request) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0)
        ):
            _read(request)


class _Kept:
    """A stream that keeps the first KEPT_BYTES of what is read from it."""

    def __init__(self, stream: HttpRequest) -> None:
        self.stream, self.beginning = stream, b""

    def read(self, size: int) -> bytes:
        data: bytes = self.stream.read(size)
        self.beginning += data[: KEPT_BYTES - len(self.beginning)]
        return data


def _length(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH", "")
    return int(length) if length.isdecimal() else 0


def _read(request: Any) -> None:
    """Set the request's POST and FILES. A form that is large only by its files is read whole."""
    stream = _Kept(request)
    try:
        try:
            read = request.parse_file_upload(request.META, stream)
        except RequestDataTooBig:
            left = DROPPED_BYTES
            while left > 0 and (dropped := request.read(65_536)):
                left -= len(dropped)
            read = request.parse_file_upload(request.META, BytesIO(stream.beginning))
    except UnreadablePostError:  # The connection broke: nobody reads the answer.
        request._mark_post_parse_error()
    except (MultiPartParserError, TooManyFilesSent):
        request._mark_post_parse_error()
        raise
    else:
        request._post, request._files = read
