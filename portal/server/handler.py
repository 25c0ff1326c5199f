"""Django's handler for requests that have arrived whole, and what the front makes of a scope."""

import io
import sys
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from portal.server.answers import Header, encoded

TERMINALS_CONTENT_TYPE = "application/json; charset=utf-8"


class Request(WSGIRequest):
    """A request that knows the content type of terminals without Django's email parser."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        if meta.get("CONTENT_TYPE") == TERMINALS_CONTENT_TYPE:
            self.content_type, self.content_params = "application/json", {"charset": "utf-8"}
        else:
            super()._set_content_type_params(meta)  # type: ignore[misc]


class ProgramRequest(Request):
    """A request as fast paths read it, which costs a tenth of Django's to make.

    It has method, path, headers, query, content type and body: no script name, no form, no files.
    """

    def __init__(self, environ: dict[str, Any], body: bytes) -> None:
        self.environ = self.META = environ
        self.path_info = self.path = environ["PATH_INFO"]
        self.method = environ["REQUEST_METHOD"]
        self._set_content_type_params(environ)
        self._body = body


class Handler(WSGIHandler):
    """Django's handler, with all its layers and signals, for a request whose body is in memory."""

    request_class = Request

    def respond(
        self, environ: dict[str, Any], body: bytes
    ) -> tuple[int, list[Header], HttpResponseBase]:
        """Return status, headers and the response, which the caller has to read and close.

        `environ` is of `environ_of`, `body` the whole body that belongs to it.
        """
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        begun: list[tuple[int, list[Header]]] = []

        def start_response(status: str, headers: Any, *_: Any) -> Any:
            begun.append((int(status[:3]), encoded(headers)))

        response = self(environ, start_response)
        return *begun[0], response

    def static_paths(self) -> frozenset[str]:
        """Return the paths that WhiteNoise answers from files it knows, without a database."""
        layer: Any = self._middleware_chain  # type: ignore[attr-defined]
        while layer := getattr(layer, "__wrapped__", None):
            if isinstance(layer, WhiteNoiseMiddleware):
                return frozenset(layer.files)
            layer = getattr(layer, "get_response", None)
        return frozenset()


def environ_of(scope: dict[str, Any]) -> dict[str, Any]:
    """Return the environment of WSGI (PEP 3333) for a scope of ASGI, without the body.

    Header names with underscores are left out: theirs would be the name of another header with
    hyphens, which a proxy sets and trusts. Repeated headers are joined (RFC 9110 section 5.3).
    """
    raw_path = scope["raw_path"]
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        variable = _variable(name)
        if variable is None:
            continue
        text = value.decode("latin-1")
        if variable in environ:
            text = f"{environ[variable]}{'; ' if variable == 'HTTP_COOKIE' else ','}{text}"
        environ[variable] = text
    return environ


@lru_cache(maxsize=256)
def _variable(name: bytes) -> str | None:
    if b"_" in name:
        return None
    variable = name.decode("latin-1").upper().replace("-", "_")
    return variable if variable in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{variable}"
