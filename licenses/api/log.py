"""The log of a tenant: pages for looking back, and rows by number for those who keep it."""

import hashlib
from contextlib import suppress
from typing import Annotated, Any, TypedDict
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse

from licenses import keys
from licenses.api.operations import ApiRequest, answer, operation, tagged
from licenses.api.representations import LogPage, log_row
from licenses.api.subscriptions import Cursor, Rows, linked, position
from portal.activity import anchors
from portal.activity.actions import Action
from portal.activity.models import LogChain, LogEntry
from portal.core.links import public_link
from portal.core.numbers import MAX_ID
from portal.core.refusal import Refused
from portal.programs.errors import ProgramError
from portal.web.paging import keyset_page
from subscriptions.service_tokens.models import Scope

NDJSON = "application/x-ndjson"
ANCHOR = "log-anchor+jwt"
LINES = "log-lines+jwt"
PROOF = "Log-Proof"
"""The header with the signature of an answer's lines, for whoever does not have LOG_KEY."""

MAX_LINES = 2_000
DEFAULT_LINES = 500

_encode = DjangoJSONEncoder(ensure_ascii=False).encode


class LogQuery(TypedDict, total=False):
    """Which rows, and where the page begins."""

    subscription: Annotated[UUID, "Only rows about this subscription."]
    action: Annotated[Action, "Only rows of this action."]
    limit: Rows
    after: Cursor


class LinesQuery(TypedDict, total=False):
    """Which rows, by their numbers."""

    after: Annotated[
        int,
        {"minimum": 0, "maximum": MAX_ID},
        "The number of the last row that the caller has; without it, the oldest row kept is first.",
    ]
    limit: Annotated[
        int, {"minimum": 1, "maximum": MAX_LINES, "default": DEFAULT_LINES}, "Rows of an answer."
    ]


class Anchor(TypedDict):
    """Number and hash of the newest row, signed: a line as `verify_log --anchors` reads it."""

    number: Annotated[int, "The number of the line in its file: 1, since it stands alone."]
    at: Annotated[str, {"format": "date-time"}]
    chains: Annotated[dict[str, Any], "By tenant, number (`seq`) and hash of the newest row."]
    signature: Annotated[str, "HMAC-SHA-256 with the vendor's key, which `verify_log` checks."]
    jws: Annotated[
        str,
        "The same for everybody: a JWS (RS256, `typ` `log-anchor+jwt`) with `iss`, `sub` (the "
        "tenant), `iat`, `seq` and `hash`, by a key of `/.well-known/jwks.json`.",
    ]


@operation(Scope.LOG_READ, query=LogQuery, gives=LogPage, conditional=True, pages=True)
def listing(request: ApiRequest, *, query: dict[str, Any]) -> HttpResponse:
    """Read the log in pages.

    The newest row first. A token for chosen subscriptions reads the rows about them alone.
    """
    token = request.token
    rows = LogEntry.objects.for_tenant(token.tenant_id)
    if not token.for_all_subscriptions:
        rows = rows.for_subscriptions(list(token.subscriptions().values_list("pk", flat=True)))
    if "subscription" in query:
        rows = rows.for_subscription(UUID(query["subscription"]))
    if "action" in query:
        rows = rows.of_action(query["action"])
    found = keyset_page(rows, after=position(request, query), by=("at", "seq"), size=query["limit"])
    response = tagged(request, {"entries": [log_row(entry) for entry in found.rows]})
    return linked(request, response, found)


@operation(Scope.LOG_READ, query=LinesQuery, gives=NDJSON, pages=True, refuses=True)
def lines(request: ApiRequest, *, query: dict[str, Any]) -> HttpResponse:
    """Read the log by number, one JSON object per line.

    The oldest row first, with its hash. The header Link leads on while there are more rows, and
    Log-Proof proves to anybody what they said. 410 says that retention has removed the next row,
    409 that the log is shorter than it was. Needs a token for all subscriptions: the chain has the
    rows of all.
    """
    _refuse_a_part(request)
    chain = LogChain.objects.filter(pk=request.token.tenant_id).first() or LogChain()
    after = query.get("after", chain.kept_from - 1)
    if after + 1 < chain.kept_from:
        raise _removed(chain)
    if after > chain.count:
        raise _shorter(chain, after)
    rows = LogEntry.objects.filter(tenant_id=request.token.tenant_id, seq__gt=after)
    limit = query["limit"]
    found = list(rows.order_by("seq")[: limit + 1])
    shown = found[:limit]
    text = "".join(f"{_encode(log_row(entry))}\n" for entry in shown)
    response = HttpResponse(text, content_type=NDJSON, headers={"Cache-Control": "no-store"})
    if shown:
        with suppress(Refused):  # While no key signs, the log is read without a proof.
            response[PROOF] = _proof(request, shown, text)
    if len(found) > limit:
        address = f"{public_link(request.path)}?after={shown[-1].seq}&limit={limit}"
        response["Link"] = f'<{address}>; rel="next"'
    return response


@operation(Scope.LOG_READ, gives=Anchor, refuses=True)
def anchor(request: ApiRequest) -> HttpResponse:
    """Read the head of the log, signed.

    Keep it: it shows whether rows up to this one were changed or removed since, to everybody by
    `jws`, which the published keys verify. Needs a token for all subscriptions.
    """
    _refuse_a_part(request)
    tenant_id = request.token.tenant_id
    found = anchors.of_tenant(tenant_id, now=request.now)
    seq, head = found["chains"].get(str(tenant_id), (0, ""))
    return answer(request, found | {"jws": _signed(request, ANCHOR, seq=seq, hash=head)})


def _proof(request: ApiRequest, shown: list[LogEntry], text: str) -> str:
    """Return the signature of the lines `text`: their first and last number, and their SHA-256."""
    return _signed(
        request,
        LINES,
        first=shown[0].seq,
        seq=shown[-1].seq,
        hash=shown[-1].hash,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _signed(request: ApiRequest, typ: str, **claims: Any) -> str:
    """Return a JWS about the tenant's log. Raises Refused while no key signs."""
    told = {
        "iss": public_link("/").rstrip("/"),
        "sub": str(request.token.tenant_id),
        "iat": int(request.now.timestamp()),
    }
    return keys.sign(keys.active(), told | claims, typ=typ)


def _refuse_a_part(request: ApiRequest) -> None:
    if not request.token.for_all_subscriptions:
        raise ProgramError(
            "insufficient_scope",
            403,
            "This token is for chosen subscriptions; the chain of the log has the rows of all.",
        )


def _removed(chain: LogChain) -> ProgramError:
    return ProgramError(
        "rows_removed",
        410,
        f"Retention has removed the rows up to {chain.kept_from - 1}. Go on without `after`, and "
        "note the gap.",
        members={"kept_from": chain.kept_from, "kept_previous": chain.kept_previous},
    )


def _shorter(chain: LogChain, after: int) -> ProgramError:
    return ProgramError(
        "log_shorter",
        409,
        f"The log has {chain.count} rows, and you ask for those after {after}: it was put back or "
        "cut. Keep what you have, and tell the vendor.",
        members={"count": chain.count, "head": chain.head},
    )
