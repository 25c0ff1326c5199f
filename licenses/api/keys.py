"""The license keys of a subscription: read, download, check, generate, reset, renew."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypedDict
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse

from licenses.api.inputs import JSON
from licenses.api.operations import (
    ApiRequest,
    answer,
    canonical,
    conditional,
    operation,
    tagged,
)
from licenses.api.representations import (
    KeyShown,
    KeysShown,
    OverlapEnded,
    RenewalShown,
    VerdictShown,
    keys_shown,
    slots_shown,
    verdict_shown,
)
from licenses.api.subscriptions import reached
from licenses.checking.check import expected_from_file
from licenses.files import LicenseFile, archive, read_presented
from licenses.flows.check import check_presented_key, check_stored_key
from licenses.flows.download import download_bundle, download_key, download_keys
from licenses.flows.end_overlap import end_key_overlap
from licenses.flows.generate import generate_keys
from licenses.flows.renew import Renewal, renewable_from
from licenses.flows.renew import renew as renew_key
from licenses.flows.reset import Overlap, reset_key
from licenses.models import License, Slot, Usage
from licenses.reminders import ends_with
from portal.core.dates import moment
from portal.core.links import public_link
from portal.core.refusal import Refused
from portal.programs.errors import ProgramError
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import Scope

ZIP = "application/zip"
_TAG = re.compile(r'"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[0-9a-f]{16}"', re.ASCII)
"""The entity tag of a slot, as `_tag` writes it."""


class GenerateBody(TypedDict):
    """What the keys are for, and who holds them; neither can be changed later."""

    usage: Annotated[
        Usage,
        "`org` or `per` on commercial plans, `edu` or `rnd` on the community plan.",
    ]
    holder_name: Annotated[
        str, {"minLength": 1, "maxLength": 200}, "Everybody who has a key can read this name."
    ]


class ResetBody(TypedDict):
    """When the old key of the slot stops working."""

    overlap: Annotated[
        Overlap,
        "`now`, in a `day` or a `week`, or at its `expiry`; never later than that.",
    ]


class PresentedBody(TypedDict):
    """What to check."""

    presented: Annotated[
        str, {"minLength": 1, "maxLength": 60_000}, "A license key, or the text of a license file."
    ]


@operation(Scope.SUBSCRIPTIONS_READ, gives=KeysShown, conditional=True)
def both(request: ApiRequest, *, subscription_id: UUID) -> HttpResponse:
    """Read the state of both slots.

    404 while the subscription has no license keys.
    """
    license = _license(reached(request, subscription_id))
    slots = slots_shown(license, request.now)
    if not slots:
        raise _deleted()
    return tagged(request, keys_shown(license, slots))


@operation(Scope.SUBSCRIPTIONS_READ, gives=KeyShown, conditional=True)
def one(request: ApiRequest, *, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Read the state of a slot.

    A reset and the end of an overlap ask for the entity tag of this answer (If-Match).
    """
    key = slots_shown(_license(reached(request, subscription_id)), request.now).get(slot)
    if key is None:
        raise _deleted()
    return answer(request, key, etag=_tag(key))


@operation(
    Scope.KEYS_GENERATE, method="POST", body=GenerateBody, gives=KeysShown, status=201, refuses=True
)
def generate(request: ApiRequest, *, subscription_id: UUID, body: dict[str, Any]) -> HttpResponse:
    """Generate both license keys.

    For an active subscription that has none.
    """
    license = generate_keys(
        subscription=reached(request, subscription_id),
        actor=request.actor,
        usage=Usage(body["usage"]),
        holder_name=body["holder_name"],
    )
    made = {key.slot: key for key in license.keys.order_by("-pk")}.values()  # the first of each
    slots = slots_shown(license, request.now, made)
    response = answer(request, keys_shown(license, slots), status=201)
    response["Location"] = public_link(reverse("api:keys", args=[subscription_id]))
    return response


@operation(Scope.KEYS_DOWNLOAD, gives=JSON, conditional=True, refuses=True)
def file(request: ApiRequest, *, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Download the license file of a slot.

    Recorded in the log, but for an answer of 304.
    """
    license = _license(reached(request, subscription_id))

    def take(is_taken: bool) -> LicenseFile:
        return download_key(license=license, slot=slot, actor=request.actor, is_taken=is_taken)

    return _file(request, take)


@operation(Scope.KEYS_DOWNLOAD, gives=ZIP, refuses=True)
def files(request: ApiRequest, *, subscription_id: UUID) -> HttpResponse:
    """Download both license files as one archive.

    README.txt in it says what could not be included, such as a revoked key.
    """
    subscription = reached(request, subscription_id)
    taken = download_keys(
        subscriptions=[subscription],
        slots=Slot,
        actor=request.actor,
        is_taken=request.method == "GET",
        now=request.now,
    )
    if not taken.files:
        raise Refused(" ".join(taken.refused))
    content = archive({**taken.files, "README.txt": taken.readme.encode()}, at=request.now)
    response = HttpResponse(content, content_type=ZIP)
    response["Content-Disposition"] = 'attachment; filename="license-files.zip"'
    response["Cache-Control"] = "no-store"
    return response


@operation(Scope.KEYS_DOWNLOAD, gives=ZIP, refuses=True)
def bundle(request: ApiRequest, *, subscription_id: UUID) -> HttpResponse:
    """Download the offline bundle.

    License files with all that verifies them without a network.
    """
    license, is_taken = _license(reached(request, subscription_id)), request.method == "GET"
    taken = download_bundle(license=license, actor=request.actor, is_taken=is_taken)
    return _attached(taken, ZIP)


@operation(Scope.KEYS_CHECK, method="POST", gives=VerdictShown, refuses=True)
def check(request: ApiRequest, *, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Check the license key in a slot.

    The very check that terminals get, recorded in the log. An answer of 200 tells the verdict,
    whatever it is.
    """
    license = _license(reached(request, subscription_id))
    verdict = check_stored_key(license=license, slot=slot, actor=request.actor)
    return answer(request, verdict_shown(verdict))


@operation(Scope.KEYS_CHECK, method="POST", body=PresentedBody, gives=VerdictShown, refuses=True)
def check_presented(request: ApiRequest, *, body: dict[str, Any]) -> HttpResponse:
    """Check a license key or a license file.

    What the token does not reach is a mismatch. Recorded in the log when it is a key that it does.
    """
    try:
        key, members = read_presented(body["presented"])
    except Refused as refusal:
        raise Refused(refusal.sentence, field="presented") from refusal
    tenant = request.token.tenant
    expected = {} if members is None else expected_from_file(members, tenant_id=tenant.pk)
    reached_ones = None if request.token.for_all_subscriptions else request.token.subscriptions()
    verdict = check_presented_key(
        token=key, expected=expected, tenant=tenant, actor=request.actor, reached=reached_ones
    )
    return answer(request, verdict_shown(verdict))


@operation(
    Scope.KEYS_RESET, method="POST", body=ResetBody, gives=KeyShown, refuses=True, from_seen=True
)
def reset(
    request: ApiRequest, *, subscription_id: UUID, slot: Slot, body: dict[str, Any]
) -> HttpResponse:
    """Reset a slot: a new license key takes the place of the one that was seen.

    If-Match has the entity tag of the slot as it was read; 412 says that somebody else has
    replaced the key since.
    """
    license = _license(reached(request, subscription_id))
    new = reset_key(
        license=license,
        slot=slot,
        actor=request.actor,
        overlap=Overlap(body["overlap"]),
        expected_jti=_seen(request, license, slot),
    )
    key = slots_shown(license, request.now, [new])[slot]
    return answer(request, key, etag=_tag(key))


@operation(Scope.KEYS_RENEW, method="POST", gives=RenewalShown, refuses=True)
def renew(request: ApiRequest, *, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Renew a slot whose license key is near its end.

    Signs a successor from `renewable_from` until 14 days after the key has expired, once, and the
    old key works for 7 more days. A call that comes too early or again changes nothing and tells
    what is there.
    """
    license = _license(reached(request, subscription_id))
    renewal = renew_key(license=license, slot=slot, actor=request.actor)
    key = slots_shown(license, request.now, [renewal.key])[slot]
    content = {"renewed": renewal.renewed, "reason": _reason(renewal, request.now), "key": key}
    return answer(request, content, etag=_tag(key))


@operation(Scope.KEYS_RESET, method="POST", gives=OverlapEnded, refuses=True, from_seen=True)
def end_overlap(request: ApiRequest, *, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """End an overlap: the old license key of the slot is refused from now on.

    If-Match has the entity tag of the slot as it was read: where its key was replaced since,
    another key is the old one now, and the answer is 412.
    """
    license = _license(reached(request, subscription_id))
    old = end_key_overlap(
        license=license,
        slot=slot,
        actor=request.actor,
        expected_jti=_seen(request, license, slot),
    )
    content = {"slot": slot, "jti": old.jti, "stopped_at": old.accepted_until}
    return answer(request, content)


def _license(subscription: Subscription) -> License:
    """Return the license that is not deleted, else the last one, which flows refuse as deleted.

    Raises ProgramError (404) when there never was one.
    """
    license = License.objects.newest_of(subscription)
    if license is None:
        raise ProgramError("not_found", 404, "This subscription has no license keys.")
    license.subscription, license.tenant = subscription, subscription.tenant
    return license


def _reason(renewal: Renewal, now: datetime) -> str | None:
    """Return why nothing was signed."""
    if renewal.renewed:
        return None
    if ends_with(renewal.key, renewal.key.license.subscription):
        return "A new key would expire no later: the subscription ends then."
    if now < renewable_from(renewal.key):
        return f"This key is renewed from {moment(renewable_from(renewal.key))} on."
    return "Somebody else renewed it at the same time."


def _deleted() -> ProgramError:
    return ProgramError("not_found", 404, "The license keys of this subscription were deleted.")


def _tag(key: KeyShown) -> str:
    """Return the entity tag of a slot: the identifier of its key, then a hash of its state.

    A reset compares the identifier alone: a download in between does not stand in its way.
    """
    digest = hashlib.sha256(canonical(key).encode()).hexdigest()[:16]
    return f'"{key["jti"]}.{digest}"'


def _seen(request: ApiRequest, license: License, slot: Slot) -> UUID:
    """Return the `jti` that If-Match names: the current one's if it is among them.

    Raises ProgramError: 428 without the header, 412 where it has no tag of a slot. A weak tag
    matches nothing (RFC 9110 13.1.1), and `*` says nothing of what was seen.
    """
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise ProgramError(
            "precondition_required",
            428,
            "Read the slot, and send its ETag as If-Match: only what was seen is changed.",
        )
    seen = [UUID(found[1]) for each in given.split(",") if (found := _TAG.fullmatch(each.strip()))]
    if not seen:
        raise ProgramError(
            "precondition_failed",
            412,
            "If-Match is not the ETag of a slot. Send it as it was read, with its quotation marks; "
            "weak tags (W/) and * match nothing here.",
        )
    current = license.keys.current().filter(slot=slot, jti__in=seen).first()
    return current.jti if current else seen[0]


def _file(request: ApiRequest, take: Callable[[bool], LicenseFile]) -> HttpResponse:
    """Return a file with its entity tag; what the caller has already is not taken, so 304."""
    is_conditional = "If-None-Match" in request.headers or "If-Match" in request.headers
    is_taken = request.method == "GET"
    response = conditional(request, _with_tag(take(is_taken and not is_conditional)))
    if is_taken and is_conditional and response.status_code == 200:
        response = _with_tag(take(True))
    return response


def _with_tag(found: LicenseFile) -> HttpResponse:
    response = _attached(found, JSON)
    response["ETag"] = f'"{hashlib.sha256(found.content).hexdigest()[:32]}"'
    return response


def _attached(found: LicenseFile, content_type: str) -> HttpResponse:
    response = HttpResponse(found.content, content_type=content_type)
    response["Content-Disposition"] = found.disposition
    response["Cache-Control"] = "no-store"
    return response
