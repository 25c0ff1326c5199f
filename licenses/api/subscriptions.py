"""The token that asks, the subscriptions that it reaches, and pages of them."""

from typing import Annotated, Any, TypedDict
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.http import HttpResponse

from licenses.api.operations import ApiRequest, operation, tagged
from licenses.api.representations import (
    SubscriptionPage,
    SubscriptionShown,
    TokenShown,
    subscription_shown,
    token_shown,
)
from licenses.models.subscriptions import read_license_state
from portal.core.links import public_link
from portal.programs.errors import ProgramError
from portal.web.paging import KeysetPage, keyset_page
from subscriptions.models import State, Subscription
from subscriptions.service_tokens.models import Scope

DEFAULT_ROWS = 25
MAX_ROWS = 100

Cursor = Annotated[str, {"maxLength": 500}, "The position of a page, out of the header Link."]
Rows = Annotated[
    int, {"minimum": 1, "maximum": MAX_ROWS, "default": DEFAULT_ROWS}, "Rows of a page."
]


class ListQuery(TypedDict, total=False):
    """Which subscriptions, and where the page begins."""

    state: Annotated[State, "Only those in this state."]
    q: Annotated[
        str,
        {"maxLength": 200},
        "Only those with this text in name, labels or note, or that begin with this identifier.",
    ]
    limit: Rows
    after: Cursor


@operation(None, gives=TokenShown, conditional=True)
def token(request: ApiRequest) -> HttpResponse:
    """Read the token that asks.

    What it may do and until when it works. Every token may ask this.
    """
    return tagged(request, token_shown(request.token))


@operation(
    Scope.SUBSCRIPTIONS_READ, query=ListQuery, gives=SubscriptionPage, conditional=True, pages=True
)
def listing(request: ApiRequest, *, query: dict[str, Any]) -> HttpResponse:
    """List subscriptions.

    Those that the token reaches, the newest first.
    """
    rows = request.token.subscriptions().select_related("plan").matching(query.get("q", ""))
    if "state" in query:
        rows = rows.in_state(State(query["state"]), request.now)
    found = keyset_page(rows, after=position(request, query), size=query["limit"])
    read_license_state(found.rows)
    shown = [subscription_shown(row, request.now) for row in found.rows]
    response = tagged(request, {"subscriptions": shown})
    return linked(request, response, found)


@operation(Scope.SUBSCRIPTIONS_READ, gives=SubscriptionShown, conditional=True)
def detail(request: ApiRequest, *, subscription_id: UUID) -> HttpResponse:
    """Read a subscription."""
    subscription = reached(request, subscription_id)
    read_license_state([subscription])
    return tagged(request, subscription_shown(subscription, request.now))


def reached(request: ApiRequest, subscription_id: UUID) -> Subscription:
    """Return a subscription that the token reaches, with plan and tenant.

    Raises ProgramError (404) for all others, whether they exist or not.
    """
    rows = request.token.subscriptions().select_related("plan")
    subscription = rows.filter(pk=subscription_id).first()
    if subscription is None:
        raise ProgramError("not_found", 404, "This token reaches no such subscription.")
    subscription.tenant = request.token.tenant
    return subscription


def position(request: ApiRequest, query: dict[str, Any]) -> str:
    """Return where a page begins.

    Raises ProgramError (400) for what this portal did not write for this list of this tenant, by
    these filters.
    """
    if "after" not in query:
        return ""
    try:
        after: str = _signer(request).unsign(query["after"])
    except BadSignature as error:
        raise ProgramError(
            "invalid_request",
            400,
            "The parameter after is not a valid cursor here. Take it from the header Link of a "
            "page of this list, and leave the filters as they were.",
        ) from error
    return after


def _signer(request: ApiRequest) -> Signer:
    filters = sorted(item for item in request.GET.items() if item[0] not in {"after", "limit"})
    return Signer(salt=f"{request.path} {request.token.tenant_id} {urlencode(filters)}")


def linked(request: ApiRequest, response: HttpResponse, page: KeysetPage[Any]) -> HttpResponse:
    """Return the response with a Link to the next page (RFC 8288), if there is one."""
    if page.older is not None:
        kept = {name: value for name, value in request.GET.items() if name != "after"}
        cursor = _signer(request).sign(str(page.older))
        next_page = f"{request.path}?{urlencode(kept | {'after': cursor})}"
        response["Link"] = f'<{public_link(next_page)}>; rel="next"'
    return response
