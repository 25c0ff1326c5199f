"""Refusals that programs read: terminals (contract.md section 3), and callers of the API."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from portal.core.links import public_link

API = "/api/"
"""How addresses begin whose refusals are problems (RFC 9457)."""

API_PAGE = "/api/v1/docs/"
"""The page that describes the API, and what each type of problem means."""

PROBLEM = "application/problem+json"


class ProgramError(Exception):
    """A refusal that a program reads: `error` and `status` of contract.md section 3.

    `result` is the word of contract.md section 4 where a key was judged, else None; `help` is
    the address of a page that explains it. `members` are what a problem says besides.
    """

    def __init__(
        self,
        error: str,
        status: int,
        description: str,
        *,
        result: str | None = None,
        help: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.description = description
        self.result = result
        self.help = help
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def not_allowed(*methods: str) -> ProgramError:
    """Return the refusal of every method but these."""
    allowed, verb = ", ".join(methods), "is" if len(methods) == 1 else "are"
    return ProgramError(
        "invalid_request",
        405,
        f"Only {' and '.join(methods)} {verb} allowed here.",
        headers={"Allow": allowed},
    )


def refusal(request: HttpRequest, refused: ProgramError) -> HttpResponse:
    """Return the body that every client generation reads, with our `result` and a reference.

    Callers of the API read a problem instead.
    """
    if request.path_info.startswith(API):
        return _problem(request, refused)
    body = {
        "error": refused.error,
        "error_code": refused.error,
        "error_description": refused.description,
        "request_id": getattr(request, "id", ""),
        "result": refused.result,
        **({"help": refused.help} if refused.help else {}),
    }
    headers = {"Cache-Control": "no-store"} | refused.headers
    return JsonResponse(body, status=refused.status, headers=headers)


def _problem(request: HttpRequest, refused: ProgramError) -> HttpResponse:
    """Return a refusal after RFC 9457: `code` is the end of its type, for programs to compare."""
    body = {
        "type": public_link(f"{API_PAGE}#{refused.error}"),
        "title": refused.error.replace("_", " ").capitalize(),
        "status": refused.status,
        "detail": refused.description,
        "code": refused.error,
        "request_id": getattr(request, "id", ""),
        **refused.members,
    }
    headers = {"Cache-Control": "no-store"} | refused.headers
    return JsonResponse(body, status=refused.status, headers=headers, content_type=PROBLEM)
