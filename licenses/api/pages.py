"""The description of the API, for programs and for people."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from json import dumps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from licenses.api.description import COMMON, PROBLEMS, REASONS, document
from licenses.api.inputs import JSON
from portal.programs.errors import ProgramError, not_allowed
from subscriptions.service_tokens.models import Scope

CACHED = "public, max-age=300"


@dataclass(frozen=True)
class Member:
    """A parameter, or a member of a body or an answer, as the page shows it."""

    name: str
    kind: str
    is_required: bool
    text: str


@dataclass(frozen=True)
class Shown:
    """An operation, as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Member]
    body: list[Member]
    sent: str
    answer: str
    answered: str
    statuses: list[tuple[str, str]]


@login_not_required
def openapi(request: HttpRequest) -> HttpResponse:
    """Return the description (OpenAPI 3.1)."""
    _must_read(request)
    text, etag = _written()
    response = HttpResponse(text, content_type=JSON, headers={"Cache-Control": CACHED})
    response["ETag"] = etag
    conditional = get_conditional_response(request, etag=etag, response=response)
    if conditional is not None and conditional.status_code == 412:
        raise ProgramError("precondition_failed", 412, "It has another entity tag now.")
    return conditional or response


@login_not_required
def docs(request: HttpRequest) -> HttpResponse:
    """Show the description to people."""
    _must_read(request)
    schemas = document()["components"]["schemas"]
    context = {
        "operations": operations_shown(),
        "types": {
            name: (marked(schema.get("description", "")), _members(schema))
            for name, schema in schemas.items()
        },
        "common": [(status, marked(REASONS[status])) for status in COMMON],
        "problems": {code: marked(text) for code, text in PROBLEMS.items()},
        "scopes": Scope,
    }
    return render(request, "api/docs.html", context)


@cache
def operations_shown() -> list[Shown]:
    """Return every operation of the description, in its order."""
    return [
        _shown(path, method, described)
        for path, methods in document()["paths"].items()
        for method, described in methods.items()
    ]


def _shown(path: str, method: str, described: dict[str, Any]) -> Shown:
    schemas = document()["components"]["schemas"]
    body = described.get("requestBody", {}).get("content", {}).get(JSON, {})
    success = next(r for status, r in described["responses"].items() if status.startswith("2"))
    [(media, content)] = success["content"].items()
    return Shown(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        text=marked(described["description"]),
        parameters=[
            Member(
                each["name"],
                _kind(each["schema"]),
                each["required"],
                marked(each.get("description", "")),
            )
            for each in described.get("parameters", [])
        ],
        body=_members(schemas[_named(body["schema"])]) if body else [],
        sent=_example(body),
        answer=_named(content["schema"]) or media,
        answered=_example(content),
        statuses=[
            (status, marked(response["description"]))
            for status, response in described["responses"].items()
            if int(status) not in COMMON
        ],
    )


def _example(content: dict[str, Any]) -> str:
    """Return what a body or an answer looks like; of one without an example nothing."""
    example = content.get("example", "")
    return example if isinstance(example, str) else dumps(example, indent=2, ensure_ascii=False)


def marked(text: str) -> SafeString:
    """Return the text with what stands between backticks as code."""
    parts = text.split("`")
    return format_html_join(
        "",
        "{}",
        ((format_html("<code>{}</code>", p) if n % 2 else p,) for n, p in enumerate(parts)),
    )


def _members(schema: dict[str, Any]) -> list[Member]:
    required = schema.get("required", [])
    return [
        Member(name, _kind(each), name in required, marked(each.get("description", "")))
        for name, each in schema["properties"].items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    """Return the type of a value in words."""
    if "$ref" in schema:
        return _named(schema)
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(schema["enum"]) if len(schema["enum"]) < 10 else "text"
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'])}"
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return " or ".join(schema.get("format", kind) if kind == "string" else kind for kind in kinds)


def _named(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


@cache
def _written() -> tuple[str, str]:
    text = dumps(document(), indent=1)
    return text, f'"{sha256(text.encode()).hexdigest()[:32]}"'


def _must_read(request: HttpRequest) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise not_allowed("GET", "HEAD")
