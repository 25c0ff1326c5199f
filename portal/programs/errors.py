"""Refusals that programs read (contract.md section 3)."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse, JsonResponse


class ProgramError(Exception):
    """A refusal that a program reads: `error` and `status` of contract.md section 3.

    `result` is the word of contract.md section 4 where a key was judged, else None; `help` is
    the address of a page that explains it.
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
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.description = description
        self.result = result
        self.help = help
        self.headers = dict(headers or {})


def not_allowed(*methods: str) -> ProgramError:
    """Return the refusal of every method but these."""
    allowed = ", ".join(methods)
    return ProgramError(
        "invalid_request", 405, f"This address answers {allowed}.", headers={"Allow": allowed}
    )


def refusal(request: HttpRequest, refused: ProgramError) -> HttpResponse:
    """Return the body that every client generation reads, with our `result` and a reference."""
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
