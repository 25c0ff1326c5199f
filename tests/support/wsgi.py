"""The portal's WSGI handler as a server calls it: Django's way, and the fast path of programs."""

from io import BytesIO
from typing import Any
from wsgiref.headers import Headers

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from portal.server.handler import Handler


def ask(path: str, *, peer: str = "203.0.113.7", method: str = "GET", **headers: str) -> Any:
    """Return status, headers and body of the answer to a plain HTTP request from `peer`.

    The handler is made for this request, with the settings of the test; `headers` are spelled as
    variables (`x_forwarded_proto`).
    """
    told: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "10.1.2.3",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": peer,
        "wsgi.input": BytesIO(),
        "wsgi.url_scheme": "http",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    # The connection is the test's own, in a transaction that is rolled back.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    try:
        answer = Handler()(environ, lambda status, listed: told.extend([status, listed]))
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
    finally:
        request_started.connect(close_old_connections)
        request_finished.connect(close_old_connections)
    return int(told[0].split()[0]), Headers(told[1]), body
