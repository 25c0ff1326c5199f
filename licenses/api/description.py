"""The description of the API, OpenAPI 3.1, made from the operations themselves."""

import re
from functools import cache
from typing import Annotated, Any, NotRequired, TypedDict

from django.urls import URLPattern

from licenses.api.examples import BY_MEDIA, SUBSCRIPTION_ID, example_of
from licenses.api.inputs import JSON
from licenses.api.log import NDJSON, PROOF
from licenses.api.operations import Operation
from licenses.api.representations import KeyShown, RenewalShown
from licenses.api.routes import operations
from licenses.api.schemas import Schema, schema_of
from licenses.models import Slot
from portal.core.links import public_link
from portal.programs.errors import PROBLEM

BASE = "/api/v1"
_ARGUMENT = re.compile(r"<(\w+):(\w+)>")
_CONVERTERS: dict[str, Schema] = {
    "identifier": {"type": "string", "format": "uuid", "examples": [str(SUBSCRIPTION_ID)]},
    "slot": {"type": "string", "enum": Slot.values},
}

PROBLEMS = {
    "invalid_request": "A parameter, a header or the body is not what the operation takes.",
    "invalid_body": "The body has a member that is missing, unknown or wrong: see `errors`.",
    "token_missing": "The request has no service token.",
    "invalid_token": "What was sent is not a service token of this portal.",
    "token_in_address": "A service token stands in the address, which is logged: rotate it.",
    "token_expired": "The token has expired.",
    "token_rotated": "The token was rotated, and its overlap is over: use its successor.",
    "token_revoked": "The token was revoked.",
    "network_not_allowed": "The token does not work from the address of the caller.",
    "insufficient_scope": "The token works, and may not do this.",
    "not_found": "There is nothing at this address that the token reaches.",
    "refused": "The portal's rules refuse it, for the reason in `detail`; nothing was changed.",
    "request_running": "The first request with this Idempotency-Key runs, or failed.",
    "idempotency_key_reused": "The Idempotency-Key belongs to another request.",
    "precondition_failed": "Somebody else has changed it since it was read; nothing was changed.",
    "precondition_required": "A reset needs If-Match with the entity tag that was read.",
    "unsupported_media_type": "The body has to be JSON.",
    "rows_removed": "Retention has removed the next row of the log: `kept_from` is the oldest one.",
    "log_shorter": "The log is shorter than what the caller has: it was put back or cut.",
    "too_many_requests": "The token has asked too often in this minute: see Retry-After.",
    "server_error": "The portal failed (500), or cannot answer now (503).",
}
"""What each type of problem means; the ends of their addresses on the page."""

REASONS = {
    400: "Not what the operation takes.",
    401: "No token, or none that works.",
    403: "The token may not do this.",
    404: "Nothing here that the token reaches.",
    405: "The address has no such method.",
    408: "The body did not arrive in time.",
    409: "Refused by the portal's rules, or the first request with this Idempotency-Key runs.",
    410: "Removed by retention.",
    412: "Changed since it was read.",
    413: "The body has more than 64 KiB.",
    414: "The address is too long; said by the server or a proxy, without a problem.",
    415: "The body is not JSON.",
    422: "A member of the body is wrong, or the Idempotency-Key belongs to another request.",
    428: "If-Match is missing.",
    429: "Too many requests in this minute.",
    431: "The headers are too long; said by the server or a proxy, without a problem.",
    500: "The portal failed; tell its operators the `request_id`.",
    503: "The portal cannot answer now.",
}


COMMON = (400, 401, 403, 405, 408, 413, 414, 429, 431, 500, 503)
"""How every operation may be refused."""

BEFORE = frozenset({414, 431})
"""Refusals of the server, or of a proxy, which have no problem: what is no request it knows."""

COUNTED = frozenset({400, 403, 404, 409, 410, 412, 415, 422, 428, 429, 503})
"""Refusals that may come after the request was counted, and then say how the limit stands."""

_STANDING = {
    "RateLimit-Policy": "How many requests the token may send, in how many seconds.",
    "RateLimit": "How many requests the token has left, and for how long.",
}
_TAG = {"ETag": "The entity tag of the answer."}
_HEADERS_OF_REFUSALS = {
    401: {"WWW-Authenticate": "The scheme, Bearer, and what is wrong with the token (RFC 6750)."},
    403: {"WWW-Authenticate": "The scope that the token lacks (RFC 6750)."},
    405: {"Allow": "The methods that there are."},
    409: {"Retry-After": "In how many seconds to come again, while the first request runs."},
    415: {"Accept": "The media type that the operation takes."},
    429: {"Retry-After": "In how many seconds to come again."},
    503: {"Retry-After": "In how many seconds to come again."},
}


class MemberError(TypedDict):
    """What is wrong with a member of the body."""

    member: str
    detail: str


class Problem(TypedDict):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[str, {"format": "uri"}, "The address that explains this type of problem."]
    title: str
    status: int
    detail: Annotated[str, "A sentence for people."]
    code: Annotated[str, {"enum": [*PROBLEMS]}, "The type in a word, for programs."]
    request_id: Annotated[str, "The reference to name to the portal's operators."]
    errors: NotRequired[list[MemberError]]
    kept_from: NotRequired[int]
    kept_previous: NotRequired[str]
    count: NotRequired[int]
    head: NotRequired[str]


class RevokeBody(TypedDict):
    """A service token that leaked, or several."""

    token: NotRequired[str]
    tokens: NotRequired[Annotated[list[str], {"maxItems": 100}, "Or several."]]


class Revoked(TypedDict):
    """The same for every text, so that nobody learns which are tokens."""

    detail: str


@cache
def document() -> dict[str, Any]:
    """Return the whole description."""
    named: dict[str, Schema] = {}
    schema_of(Problem, named)
    paths = {f"{BASE}{_templated(route)}": _path(route, named) for route in operations}
    paths[f"{BASE}/revoke"] = {"post": _revoke(named)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "License portal",
            "version": "1",
            "description": "What people do in the pages, for programs with a service token. A "
            "proxy that does not reach the portal answers 502 or 504 by itself.",
        },
        "servers": [{"url": public_link("/").rstrip("/")}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": named,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A service token of the tenant.",
                }
            },
        },
    }


def operation_of(route: URLPattern) -> Operation:
    """Return the operation at an address."""
    found: Operation = route.callback.operation  # type: ignore[attr-defined]
    return found


def refusals(described: Operation, *, has_arguments: bool) -> list[int]:
    """Return the status codes with which an operation may be refused."""
    found = {*COMMON}
    if has_arguments:
        found.add(404)
    if described.refuses:
        found.add(409)
    if described.method == "POST":
        found |= {415, 422}
    if described.conditional:
        found.add(412)
    if described.from_seen:
        found |= {412, 428}
    if described.gives == NDJSON:
        found.add(410)
    return sorted(found)


def _templated(route: URLPattern) -> str:
    return "/" + _ARGUMENT.sub(r"{\2}", str(route.pattern))


def _path(route: URLPattern, named: dict[str, Schema]) -> dict[str, Any]:
    described = operation_of(route)
    arguments = [
        _parameter(name, "path", _CONVERTERS[converter], is_required=True)
        for converter, name in _ARGUMENT.findall(str(route.pattern))
    ]
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": described.summary,
        "description": _told(described),
        "parameters": [*arguments, *_query(described), *_headers(described)],
        "responses": {
            str(described.status): _success(described, named),
            **({"304": _unchanged()} if described.conditional else {}),
            **_refused(refusals(described, has_arguments=bool(arguments))),
        },
    }
    if described.scope:
        found["security"] = [{"token": [described.scope.value]}]
    if described.body:
        found["requestBody"] = _body(described.body, named)
    return {described.method.lower(): found}


def _told(described: Operation) -> str:
    needs = f"Needs the scope `{described.scope.value}`." if described.scope else ""
    return " ".join(filter(None, [described.description, needs]))


def _parameter(
    name: str, place: str, schema: Schema, *, is_required: bool = False
) -> dict[str, Any]:
    schema = dict(schema)
    description = schema.pop("description", None)
    return {
        "name": name,
        "in": place,
        "required": is_required,
        **({"description": description} if description else {}),
        "schema": schema,
    }


def _query(described: Operation) -> list[dict[str, Any]]:
    properties = schema_of(described.query)["properties"] if described.query else {}
    return [_parameter(name, "query", schema) for name, schema in properties.items()]


def _headers(described: Operation) -> list[dict[str, Any]]:
    found = []
    if described.conditional:
        tag = {"type": "string", "description": "The ETag of the answer that the caller has."}
        found.append(_parameter("If-None-Match", "header", tag))
        tag = {"type": "string", "description": "The ETag that the answer must have, else 412."}
        found.append(_parameter("If-Match", "header", tag))
    if described.from_seen:
        tag = {"type": "string", "description": "The ETag of the slot as it was read."}
        found.append(_parameter("If-Match", "header", tag, is_required=True))
    if described.changes:
        key = {
            "type": "string",
            "pattern": r"^(\"[ !#-~]{1,255}\"|[!#-~]{1,255})$",
            "description": "Makes a repeated request get the first one's answer for 24 hours.",
        }
        found.append(_parameter("Idempotency-Key", "header", key))
    return found


def _body(annotation: Any, named: dict[str, Schema]) -> dict[str, Any]:
    content = _content(annotation, named)
    named[annotation.__name__]["additionalProperties"] = False  # Answers may get more members.
    return {"required": True, "content": content}


def _content(annotation: Any, named: dict[str, Schema]) -> dict[str, Any]:
    """Return a body or an answer in JSON, with an example."""
    schema, example = schema_of(annotation, named), example_of(annotation.__name__)
    return {JSON: {"schema": schema, "example": example}}


def _success(described: Operation, named: dict[str, Schema]) -> dict[str, Any]:
    headers = dict(_STANDING)
    if described.status == 201:
        headers["Location"] = "The address of what was made."
    if described.gives in {"application/zip", JSON}:
        headers["Content-Disposition"] = "The name of the file."
    if described.conditional or described.gives in {KeyShown, RenewalShown}:
        headers |= _TAG
    if described.pages:
        headers["Link"] = "The next page, as rel=next."
    if described.gives == NDJSON:
        headers[PROOF] = (
            "A JWS (RS256, `typ` `log-lines+jwt`) by a key of `/.well-known/jwks.json`: `iss`, "
            "`sub` (the tenant), `iat`, `first`, `seq` and `hash` (of the last line), `sha256` (of "
            "the body, hex). Not where there is no line."
        )
    if described.changes:
        headers["Idempotency-Replayed"] = "`true`: the answer of an earlier request."
    content: dict[str, Any]
    if isinstance(described.gives, str):
        kind = {"type": "object"} if described.gives == JSON else {"type": "string"}
        content = {described.gives: {"schema": kind}}
        if described.gives in BY_MEDIA:
            content[described.gives]["example"] = BY_MEDIA[described.gives]
    else:
        content = _content(described.gives, named)
    return {
        "description": "Done." if described.changes else "What was asked for.",
        "headers": _described(headers),
        "content": content,
    }


def _unchanged() -> dict[str, Any]:
    headers = _described(_STANDING | _TAG)
    return {"description": "The caller has it already.", "headers": headers}


def _refused(statuses: list[int], *, is_counted: bool = True) -> dict[str, Any]:
    counted = COUNTED if is_counted else frozenset()
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {
            "description": REASONS[status],
            "headers": _described(
                _HEADERS_OF_REFUSALS.get(status, {}) | (_STANDING if status in counted else {})
            ),
            **({} if status in BEFORE else {"content": content}),
        }
        for status in statuses
    }


def _described(headers: dict[str, str]) -> dict[str, Any]:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }


def _revoke(named: dict[str, Schema]) -> dict[str, Any]:
    """Return the operation of `subscriptions.service_tokens`, which takes no token but in its body.

    It is for anyone who finds one.
    """
    content = _content(Revoked, named)
    body = _body(RevokeBody, named)
    del named["RevokeBody"]["additionalProperties"]  # It takes what scanners send.
    return {
        "operationId": "revoke",
        "summary": "End a service token that leaked",
        "description": "For anyone who holds it. Unknown and ended tokens are answered alike.",
        "security": [],
        "requestBody": body,
        "responses": {
            "200": {"description": "It does not work any more.", "content": content},
            **_refused(sorted({*COMMON} - {401, 403}), is_counted=False),
        },
    }
