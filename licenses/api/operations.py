"""What every operation of the API goes through: method, token, limit, input, and one refusal.

An operation is a view with `@operation`, which says what it needs and gives; the description is
made from the same words (licenses/api/description.py).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from inspect import getdoc
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response

from licenses.api.idempotency import once
from licenses.api.inputs import JSON, read_body, read_query
from licenses.flows.reset import Replaced
from portal.core.actors import Actor
from portal.core.outages import RETRY_AFTER_SECONDS
from portal.core.refusal import Refused
from portal.core.unfit import UnfitNode
from portal.programs.client_address import client_address
from portal.programs.errors import ProgramError, not_allowed
from portal.programs.limits import WINDOW_SECONDS, Limit, Standing
from portal.server.cache import promptly
from subscriptions.service_tokens.authentication import TokenProblem, TokenRefused, authenticate
from subscriptions.service_tokens.models import Scope, ServiceToken

REALM = 'Bearer realm="API"'
REVALIDATED = "private, no-cache"
"""Cache-Control of what a caller may keep, and ask again with its entity tag."""

_encode = DjangoJSONEncoder().encode
canonical = DjangoJSONEncoder(sort_keys=True, separators=(",", ":")).encode


class ApiRequest(HttpRequest):
    """A request as operations get it."""

    token: ServiceToken
    actor: Actor
    now: datetime


type View = Callable[..., HttpResponse]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What an operation needs and gives.

    `gives` is the type of its answer, or a media type that is not JSON. `refuses` says that a flow
    may refuse it, `conditional` that it has an entity tag, and `from_seen` that it changes only
    what the caller has seen (If-Match).
    """

    scope: Scope | None
    method: str
    query: Any
    body: Any
    gives: Any
    status: int
    refuses: bool
    conditional: bool
    from_seen: bool
    pages: bool
    summary: str
    description: str

    @property
    def changes(self) -> bool:
        """Whether it changes something, so that it takes an Idempotency-Key."""
        return self.method == "POST" and self.refuses

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that its address answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


def operation(
    scope: Scope | None,
    *,
    gives: Any,
    method: str = "GET",
    query: Any = None,
    body: Any = None,
    status: int = 200,
    refuses: bool = False,
    conditional: bool = False,
    from_seen: bool = False,
    pages: bool = False,
) -> Callable[[View], View]:
    """Admit service tokens that allow the scope, or all of them where there is none.

    The view gets `query` and `body`, as dictionaries of these types, where it names them. Its
    docstring is what callers read.
    """

    def decorate(view: View) -> View:
        summary, _, rest = (getdoc(view) or "").partition("\n\n")
        described = Operation(
            scope=scope,
            method=method,
            query=query,
            body=body,
            gives=gives,
            status=status,
            refuses=refuses,
            conditional=conditional,
            from_seen=from_seen,
            pages=pages,
            summary=summary.removesuffix("."),
            description=" ".join(rest.split()),
        )

        @wraps(view)
        def guarded(request: ApiRequest, **named: Any) -> HttpResponse:
            standing = _admit(request, described)
            try:
                response = _answered(request, described, view, named)
            except ProgramError as refused:
                refused.headers.update(standing)
                raise
            for name, value in standing.items():
                response[name] = value
            return response

        guarded.operation = described  # type: ignore[attr-defined]
        return guarded

    return decorate


def answer(
    request: HttpRequest, content: Any, *, status: int = 200, etag: str | None = None
) -> HttpResponse:
    """Return content in JSON, with an entity tag if it has one."""
    return _told(request, _encode(content), status, etag)


def tagged(request: HttpRequest, content: Any) -> HttpResponse:
    """Return content in JSON with a hash of it as entity tag, or 304 to a caller who has it."""
    text = _encode(content)
    return _told(request, text, 200, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')


def _told(request: HttpRequest, text: str, status: int, etag: str | None) -> HttpResponse:
    response = HttpResponse(text, status=status, content_type=JSON)
    response["Cache-Control"] = "no-store" if etag is None else REVALIDATED
    if etag is None:
        return response
    response["ETag"] = etag
    return response if request.method == "POST" else conditional(request, response)


def conditional(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the response, or 304 to a caller who has its entity tag (If-None-Match).

    Raises ProgramError (412) where If-Match has another one; a weak one matches nothing.
    """
    judged = get_conditional_response(request, etag=response["ETag"], response=response)
    if judged is not None and judged.status_code == 412:
        raise ProgramError(
            "precondition_failed", 412, f"If-Match does not have its entity tag {response['ETag']}."
        )
    return judged or response


def _admit(request: ApiRequest, described: Operation) -> dict[str, str]:
    """Put token and actor on the request; return the headers that say how its limit stands.

    Raises ProgramError for a method that there is not, a token that is none or lacks the scope,
    and one that asks too often.
    """
    if request.method not in described.methods:
        raise not_allowed(*described.methods)
    address = client_address(request)
    request.now = timezone.now()
    request.token = _authenticated(request, address)
    request.actor = request.token.actor(address)
    headers = _limited(request.token)
    scope = described.scope
    if scope is not None and not request.token.allows(scope):
        raise ProgramError(
            "insufficient_scope",
            403,
            f"This token lacks the scope {scope.value}. An owner makes one that has it.",
            headers={
                "WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope.value}"',
                **headers,
            },
        )
    return headers


def _authenticated(request: ApiRequest, address: str) -> ServiceToken:
    scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ProgramError(
            "token_missing",
            401,
            "Send a service token of your tenant as Authorization: Bearer.",
            headers={"WWW-Authenticate": REALM},
        )
    try:
        return authenticate(raw.strip(), address=address, now=request.now)
    except TokenRefused as refused:
        raise _token_refused(refused) from refused


def _token_refused(refused: TokenRefused) -> ProgramError:
    if refused.problem == TokenProblem.NETWORK_NOT_ALLOWED:
        return ProgramError(refused.problem, 403, refused.sentence)
    code = (
        "invalid_token" if refused.problem is TokenProblem.INVALID else f"token_{refused.problem}"
    )
    challenge = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
    return ProgramError(code, 401, refused.sentence, headers=challenge)


def _limited(token: ServiceToken) -> dict[str, str]:
    """Count the request; return RateLimit headers (draft-ietf-httpapi-ratelimit-headers)."""
    limit = Limit("api", settings.API_REQUESTS_PER_MINUTE)
    if not limit.per_minute:
        return {}
    standing: Standing = promptly(lambda: limit.count(str(token.pk)))
    headers = {
        "RateLimit-Policy": f'"token";q={limit.per_minute};w={WINDOW_SECONDS}',
        "RateLimit": f'"token";r={standing.left};t={standing.seconds}',
    }
    if standing.is_exceeded:
        raise ProgramError(
            "too_many_requests",
            429,
            f"This token has sent {limit.per_minute} requests in this minute; ask again in "
            f"{standing.seconds} seconds.",
            headers={"Retry-After": str(standing.seconds), **headers},
        )
    return headers


def _answered(
    request: ApiRequest, described: Operation, view: View, named: dict[str, Any]
) -> HttpResponse:
    query = read_query(request, described.query)
    if described.query:
        named["query"] = query
    if described.method == "POST":
        body = read_body(request, described.body)
        if described.body:
            named["body"] = body
    perform = partial(_performed, partial(view, request, **named))
    return once(request, request.token, perform) if described.changes else perform()


def _performed(view: Callable[[], HttpResponse]) -> HttpResponse:
    """Return what the view answers; raise ProgramError with the sentence of a flow that refuses."""
    try:
        return view()
    except Replaced as refusal:
        raise ProgramError("precondition_failed", 412, refusal.sentence) from refusal
    except Refused as refusal:
        if refusal.field is None:
            raise ProgramError("refused", 409, refusal.sentence) from refusal
        errors = [{"member": refusal.field, "detail": refusal.sentence}]
        raise ProgramError(
            "invalid_body", 422, refusal.sentence, members={"errors": errors}
        ) from refusal
    except UnfitNode as error:
        raise ProgramError(
            "server_error",
            503,
            f"This node changes nothing now; ask again in {RETRY_AFTER_SECONDS} seconds.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ) from error
