"""How requests come in: Django's handler, with a fast path to what programs call."""

from typing import Any, override

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from portal.programs.middleware import PREFIXES, ProgramMiddleware
from portal.server.request_ids import RequestIdMiddleware
from portal.server.transport import TransportMiddleware

TERMINALS_CONTENT_TYPE = "application/json; charset=utf-8"


class Request(WSGIRequest):
    """A request that knows the content type of terminals without Django's email parser."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        if meta.get("CONTENT_TYPE") == TERMINALS_CONTENT_TYPE:
            self.content_type, self.content_params = "application/json", {"charset": "utf-8"}
        else:
            super()._set_content_type_params(meta)  # type: ignore[misc]


class Handler(WSGIHandler):
    """Django's handler, with a fast path to what programs call.

    Programs pass through the same middleware as on the normal path, but without its signals: the
    database connection stays with the thread, and a query itself finds out whether it still works.
    """

    request_class = Request

    def __init__(self) -> None:
        super().__init__()
        programs = ProgramMiddleware(self.get_response)  # type: ignore[arg-type]
        self.fast_path = TransportMiddleware(RequestIdMiddleware(programs))

    @override
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request as WSGI says (PEP 3333)."""
        if not environ["PATH_INFO"].startswith(PREFIXES):
            return super().__call__(environ, start_response)
        response = self.fast_path(self.request_class(environ))
        status = f"{response.status_code} {response.reason_phrase}"
        start_response(status, list(response.items()))
        return [response.content]
