"""Django's handler on the thread of the test, behind what the front makes of a request."""

from typing import Any
from wsgiref.headers import Headers

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from portal.server.handler import Handler, environ_of


def ask(path: str, *, peer: str = "203.0.113.7", method: str = "GET", **headers: str) -> Any:
    """Return status, headers and body of the answer to a plain HTTP request from `peer`.

    The handler is made for this request, with the settings of the test; `headers` are spelled with
    underscores for hyphens (`x_forwarded_proto`).
    """
    environ = environ_of(
        {
            "method": method,
            "raw_path": path.encode(),
            "query_string": b"",
            "server": ("10.1.2.3", 8000),
            "client": (peer, 4000),
            "http_version": "1.1",
            "scheme": "http",
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in headers.items()
            ],
        }
    )
    # The connection is the test's own, in a transaction that is rolled back.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    try:
        status, told, answer = Handler().respond(environ, b"")
        body = b"".join(answer)
        answer.close()
    finally:
        request_started.connect(close_old_connections)
        request_finished.connect(close_old_connections)
    return status, Headers([(n.decode("latin-1"), v.decode("latin-1")) for n, v in told]), body
