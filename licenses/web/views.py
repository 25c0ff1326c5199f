"""The pages of subscriptions and the actions on their license keys.

Each action is a dialog with HTMX, and a page without it.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import retarget

from licenses import tokens
from licenses.checking.check import Verdict, expected_from_file
from licenses.checking.use import Use, read_use
from licenses.files import LicenseFile, read_presented
from licenses.flows.check import check_presented_key, check_stored_key
from licenses.flows.delete import delete_keys, refuse_unless_deletable
from licenses.flows.download import download_bundle, download_key
from licenses.flows.end_overlap import end_key_overlap
from licenses.flows.generate import generate_keys, refuse_unless_generatable
from licenses.flows.reset import refuse_unless_resettable, reset_key
from licenses.flows.signing import expiry
from licenses.forms import PresentedKeyForm
from licenses.models import KeyState, License, LicensedSubscriptions, LicenseKey, Slot
from licenses.web.card import before_delete, before_reset, license_card
from licenses.web.forms import CheckForm, DeleteForm, GenerateForm, ResetForm, SeenForm
from licenses.web.inspection import inspect
from licenses.web.need import need_of, remedy
from licenses.web.triage import read_needs
from portal.accounts.proof import kept_form, proof_first, purpose
from portal.activity.models import LogEntry
from portal.core.dates import remaining
from portal.core.refusal import Refused
from portal.core.rows import read
from portal.tenants.access import TenantRequest, hidden_from_support, tenant_role
from portal.tenants.models import Member, Role
from portal.web.forms import posted, refusals_on, require_form_methods
from portal.web.large_forms import takes_large_form
from portal.web.pages import done, elsewhere, form_page, page, wants_fragment
from subscriptions.models import Plan, Subscription
from subscriptions.views import CHANGED

MAX_EVENTS = 5
WATCHES = f"{CHANGED} from:body, focus from:window throttle:3s"
"""When the page is asked for again while steps after a reset tick themselves off."""
GENERATED = (
    "Both license keys were generated. Download one, and configure your terminal with the "
    "authorized application id."
)


@require_safe
@tenant_role(Role.VIEWER)
def detail(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Show one subscription with its license keys."""
    subscription = get_object_or_404(
        _subscriptions(request).with_state().select_related("plan", "tenant", "activated_by"),
        pk=subscription_id,
    )
    events = LogEntry.objects.for_tenant(request.tenant.pk).for_subscription(subscription.pk)
    card = license_card(subscription, request.member, hands_out=not request.support_view)
    read_needs([subscription], timezone.now())
    need = need_of(subscription, card, request.member)
    context = {
        "subscription": subscription,
        "card": card,
        "need": need,
        "button": need.button(card) if need else None,
        "events": events[:MAX_EVENTS],
        "watches": WATCHES if card.is_guided else f"{CHANGED} from:body",
        "may_manage": request.member.may(Role.MANAGER),
    }
    return page(request, "licenses/detail.html", context, fragment="subscription")


@require_safe
@tenant_role(Role.VIEWER)
def next_step(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Lead from a mail to the form of what the subscription needs now, or else to its page."""
    subscription = _subscription(request, subscription_id)
    card = license_card(subscription, request.member, hands_out=not request.support_view)
    need = need_of(subscription, card, request.member)
    action = need.action if need else None
    return redirect(action.address if action and action.opens else subscription)


@require_form_methods
@tenant_role(Role.MANAGER)
def generate(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Create both license keys."""
    subscription, now = _subscription(request, subscription_id), timezone.now()
    form = GenerateForm(posted(request), subscription=subscription, user=request.user)
    if form.is_valid():
        with refusals_on(form):
            generate_keys(subscription=subscription, actor=request.actor, **form.cleaned_data)
            messages.success(request, GENERATED)
            return done(request, subscription.get_absolute_url(), event=CHANGED)
    try:
        if not form.is_bound:
            refuse_unless_generatable(subscription, now)
        ends = expiry(issued_at=now, days=subscription.plan.days, ends_at=subscription.ends_at)
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    days = tokens.expires_in_days(int(now.timestamp()), int(ends.timestamp()))
    context = {"subscription": subscription, "days": days, "expires_at": ends}
    return form_page(request, "licenses/generate.html", form, context, fragment="dialog")


@require_safe
@tenant_role(Role.VIEWER)
@hidden_from_support
def download(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Send the license file of a slot."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    try:
        is_taken = request.method == "GET"  # a HEAD request sends no file
        file = download_key(license=license, slot=slot, actor=request.actor, is_taken=is_taken)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return elsewhere(request, subscription.get_absolute_url())
    return _attached(file, "application/json")


@require_safe
@tenant_role(Role.VIEWER)
@hidden_from_support
def download_offline_bundle(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Send what a machine without a network verifies the license keys with."""
    subscription = _subscription(request, subscription_id)
    license, is_taken = _license(subscription), request.method == "GET"
    try:
        file = download_bundle(license=license, actor=request.actor, is_taken=is_taken)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return elsewhere(request, subscription.get_absolute_url())
    return _attached(file, "application/zip")


def _attached(file: LicenseFile, content_type: str) -> HttpResponse:
    response = HttpResponse(file.content, content_type=content_type)
    response["Content-Disposition"] = file.disposition
    response["Cache-Control"] = "no-store"
    return response


@require_form_methods
@tenant_role(Role.VIEWER)
def check(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Check one of the stored keys: the one asked for at a slot, or the one chosen here."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    form = CheckForm(posted(request), license=license)
    if form.is_valid():
        with refusals_on(form):
            slot = Slot(form.cleaned_data["slot"])
            verdict = check_stored_key(license=license, slot=slot, actor=request.actor)
            stored = verdict.key or license.keys.current().filter(slot=slot).first()
            return _verdict_page(
                request, "licenses/check.html", subscription, form, verdict, stored=stored
            )
    return _verdict_page(request, "licenses/check.html", subscription, form, None)


@takes_large_form
@require_form_methods
@tenant_role(Role.VIEWER)
def check_presented(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Check a pasted key or an uploaded license file of the member's tenant."""
    subscription = _subscription(request, subscription_id)
    form = PresentedKeyForm(posted(request), request.FILES or None)
    template = "licenses/check_presented.html"
    if form.is_valid():
        with refusals_on(form):
            token, members = read_presented(form.cleaned_data["presented"])
            expected = (
                {} if members is None else expected_from_file(members, tenant_id=request.tenant.pk)
            )
            verdict = check_presented_key(
                token=token, expected=expected, tenant=request.tenant, actor=request.actor
            )
            return _verdict_page(request, template, subscription, form, verdict)
    return _verdict_page(request, template, subscription, form, None)


@require_safe
@tenant_role(Role.VIEWER)
def claims(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Show the claims of a stored key."""
    subscription = _subscription(request, subscription_id)
    key = _key(_license(subscription), slot)
    context = {
        "subscription": subscription,
        "key": key,
        "slot": slot,
        "inspection": inspect(tokens.parse(key.token or "")),
    }
    return page(request, "licenses/claims.html", context, fragment="dialog")


@require_form_methods
@tenant_role(Role.MANAGER)
@proof_first
@purpose(
    lambda request, subscription_id, slot: (
        f"reset the {slot} key of {_name(request, subscription_id)}"
    )
)
def reset(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Replace the key of one slot."""
    subscription, now = _subscription(request, subscription_id), timezone.now()
    license = _license(subscription)
    try:
        refuse_unless_resettable(license, subscription, now)
        expires_at = expiry(issued_at=now, days=license.days, ends_at=subscription.ends_at)
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    key, kept = _key(license, slot), kept_form(request) or {}
    form = ResetForm(posted(request), key=key, now=now, initial=kept)
    if form.is_valid():
        with refusals_on(form):
            new = reset_key(license=license, slot=slot, actor=request.actor, **form.cleaned_data)
            messages.success(request, f"The {new.slot} key was reset.")
            return done(request, subscription.get_absolute_url(), event=CHANGED)
    shown = before_reset(license, subscription, slot, now)
    form.show(in_use=bool(shown["use"]), has_old=shown["old"] is not None)
    context = {
        "subscription": subscription,
        "slot": slot,
        "license": license,
        "expires_at": expires_at,
        **shown,
    }
    return form_page(request, "licenses/reset.html", form, context, fragment="dialog")


@require_form_methods
@tenant_role(Role.MANAGER)
def end_overlap(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Stop the old key of a slot now."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    if request.method == "POST":
        try:
            seen = SeenForm.read(request.POST)
            end_key_overlap(license=license, slot=slot, actor=request.actor, expected_jti=seen)
        except Refused as refusal:
            messages.error(request, refusal.sentence)
        else:
            messages.success(request, f"The old {slot.label.lower()} key is refused from now on.")
        return done(request, subscription.get_absolute_url(), event=CHANGED)
    now = timezone.now()
    old = license.keys.overlapping(now).filter(slot=slot).first()
    if old is None:
        return _refused(
            request, subscription, Refused("No old key of this slot is accepted any more.")
        )
    use = read_use([old], now).get(old.pk, Use()).sentence(now)
    form = SeenForm(initial={"expected_jti": license.keys.current().get(slot=slot).jti})
    context = {"subscription": subscription, "slot": slot, "old": old, "use": use, "form": form}
    return page(request, "licenses/end_overlap.html", context, fragment="dialog")


@require_form_methods
@tenant_role(Role.MANAGER)
@proof_first
@purpose(lambda request, subscription_id: f"delete both keys of {_name(request, subscription_id)}")
def delete(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Delete both license keys for good."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    try:
        refuse_unless_deletable(license)
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    form = DeleteForm(posted(request), subscription=subscription, initial=kept_form(request) or {})
    if form.is_valid():
        with refusals_on(form):
            delete_keys(license=license, actor=request.actor)
            messages.success(
                request,
                "Both license keys were deleted. The subscription stays: generate new keys to "
                "start its terminals again.",
            )
            return done(request, subscription.get_absolute_url(), event=CHANGED)
    shown = before_delete(license, subscription, timezone.now())
    context = {"subscription": subscription, "license": license, **shown}
    return form_page(request, "licenses/delete.html", form, context, fragment="dialog")


def _subscriptions(request: TenantRequest) -> LicensedSubscriptions:
    """Return the subscriptions of the member's tenant, so that all others are a 404."""
    return LicensedSubscriptions(Subscription).for_tenant(request.tenant)


def _subscription(request: TenantRequest, subscription_id: UUID) -> Subscription:
    for subscription in read(Subscription, id=subscription_id, tenant=request.tenant.pk):
        [subscription.plan] = read(Plan, id=subscription.plan_id)
        subscription.tenant = request.member.tenant
        return subscription
    raise Http404


def _name(request: TenantRequest, subscription_id: UUID) -> str:
    return _subscription(request, subscription_id).name


def _license(subscription: Subscription) -> License:
    """Return the license that is not deleted, else the last one, which flows refuse as deleted.

    Raises Http404 when there never was one.
    """
    license = License.objects.newest_of(subscription)
    if license is None:
        raise Http404
    license.subscription, license.tenant = subscription, subscription.tenant
    return license


def _key(license: License, slot: Slot) -> LicenseKey:
    key = LicenseKey.objects.answered(license.pk, slot).get(KeyState.CURRENT)
    if key is None:
        raise Http404
    key.license = license
    return key


def _verdict_page(
    request: TenantRequest,
    template: str,
    subscription: Subscription,
    form: Any,
    verdict: Verdict | None,
    *,
    stored: Any = None,
) -> HttpResponse:
    """Return the result of a check; with HTMX, only the verdict if its live region is there.

    `stored` is the key of a slot that was checked, also where the check did not get to its record.
    """
    context = {"subscription": subscription, "verdict": verdict}
    if verdict is not None:
        context |= _checked(verdict, stored or verdict.key, request.member)
    has_region = wants_fragment(request) and request.htmx.target != "dialog"
    if verdict is not None and has_region:
        return page(request, "licenses/verdict.html", context, fragment="verdict")
    answer = form_page(request, template, form, context, fragment="dialog")
    # The form is aimed at its live region; a refusal takes the place of the form itself.
    return retarget(answer, "#dialog") if form.errors else answer


def _checked(verdict: Verdict, judged: Any, member: Member) -> dict[str, Any]:
    """Return the key that was judged, of the tenant's own, and the old one that works beside it."""
    if judged is None:
        return {}
    key = LicenseKey.objects.select_related("license__subscription__plan").get(pk=judged.pk)
    old = key.license.keys.overlapping(verdict.checked_at).filter(slot=key.slot)
    plan = key.license.subscription.plan
    return {
        "expires_soon": plan.expires_soon(key.expires_at, verdict.checked_at),
        "key": key,
        "why": _why(verdict.description),
        "remedy": None if verdict.passes else remedy(verdict.result, key, member),
        "left": remaining(key.expires_at, verdict.checked_at)
        if key.expires_at > verdict.checked_at
        else "",
        "old": old.exclude(pk=key.pk).first(),
    }


def _why(description: str) -> str:
    """Return the description of a result as the end of a sentence about the key."""
    its = description.removeprefix("The license key ")
    return f"it {its}" if its != description else f"{description[:1].lower()}{description[1:]}"


def _refused(request: TenantRequest, subscription: Subscription, refusal: Refused) -> HttpResponse:
    """Show why the action is not possible, in place of its form."""
    context = {"subscription": subscription, "sentence": refusal.sentence}
    return page(request, "licenses/refused.html", context, fragment="dialog", status=422)
