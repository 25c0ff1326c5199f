"""Pages that act on license keys; each is a dialog with HTMX and a page without."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import F
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import retarget

from licenses import flows, tokens
from licenses.checking import Verdict, expected_from_file
from licenses.files import read_presented
from licenses.flows.signing import expiry
from licenses.forms import CheckForm, CheckPresentedForm, DeleteForm, GenerateForm, ResetForm
from licenses.inspection import inspect
from licenses.models import License, LicenseKey, Slot, Usage
from portal.access import TenantRequest, hidden_from_support, kept_form, recent_proof, tenant_role
from portal.forms import accepted, posted
from portal.models import Role
from portal.pages import done, elsewhere, page, wants_fragment
from portal.paging import keyset_page
from portal.refusal import Refused
from subscriptions.models import Subscription

CHANGED = "subscription-changed"
form_page = require_http_methods(["GET", "HEAD", "POST"])


@form_page
@tenant_role(Role.MANAGER)
def generate(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Create both license keys."""
    subscription, now = _subscription(request, subscription_id), timezone.now()
    form = GenerateForm(posted(request), subscription=subscription, user=request.user)
    if request.method == "POST" and accepted(
        form,
        lambda: flows.generate(
            subscription=subscription,
            actor=request.actor,
            usage=Usage(form.cleaned_data["usage"]),
            holder_name=form.cleaned_data["holder_name"],
        ),
    ):
        messages.success(
            request,
            "Both license keys were generated. Download one, and configure your terminal with "
            "the authorized application id.",
        )
        return done(request, _address(subscription), event=CHANGED)
    try:
        if not form.is_bound:
            flows.refuse_unless_generatable(subscription, now)
        expires_at = expiry(
            issued_at=now, days=subscription.plan.days, ends_at=subscription.ends_at
        )
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    days = tokens.expires_in_days(int(now.timestamp()), int(expires_at.timestamp()))
    context = {"form": form, "days": days, "expires_at": expires_at}
    return _form_page(request, "generate", subscription, form, context)


@require_safe
@tenant_role(Role.VIEWER)
@hidden_from_support
def download(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Send the license file of a slot."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    try:
        is_taken = request.method == "GET"  # a HEAD hands nothing out
        file = flows.download(license=license, slot=slot, actor=request.actor, is_taken=is_taken)
    except Refused as refusal:
        messages.error(request, refusal.sentence)
        return elsewhere(request, _address(subscription))
    response = HttpResponse(file.content, content_type="application/json")
    response["Content-Disposition"] = file.disposition
    response["Cache-Control"] = "no-store"
    return response


@form_page
@tenant_role(Role.VIEWER)
def check(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Check one of the stored keys."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    form = CheckForm(posted(request), initial={"slot": request.GET.get("slot", "primary")})
    verdict: list[Verdict] = []
    if request.method == "POST":
        accepted(
            form,
            lambda: verdict.append(
                flows.check_stored(
                    license=license, slot=Slot(form.cleaned_data["slot"]), actor=request.actor
                )
            ),
        )
    context = {"form": form, "verdict": verdict[0] if verdict else None}
    return _verdict_page(request, "check", subscription, form, context)


@form_page
@tenant_role(Role.VIEWER)
def check_presented(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Check a pasted key or an uploaded license file of the own tenant."""
    subscription = _subscription(request, subscription_id)
    form = CheckPresentedForm(posted(request), request.FILES or None)
    verdict: list[Verdict] = []

    def present() -> None:
        token, members = read_presented(form.cleaned_data["presented"])
        expected = (
            {} if members is None else expected_from_file(members, tenant_id=request.tenant.pk)
        )
        verdict.append(
            flows.check_presented(
                token=token, expected=expected, tenant=request.tenant, actor=request.actor
            )
        )

    if request.method == "POST":
        accepted(form, present)
    context = {"form": form, "verdict": verdict[0] if verdict else None}
    return _verdict_page(request, "check_presented", subscription, form, context)


@require_safe
@tenant_role(Role.VIEWER)
def claims(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Show what a stored key says."""
    subscription = _subscription(request, subscription_id)
    key = _key(_license(subscription), slot)
    context = {
        "subscription": subscription,
        "key": key,
        "slot": slot,
        "inspection": inspect(tokens.parse(key.token or "")),
    }
    return page(request, "licenses/claims.html", context, fragment="dialog")


@form_page
@tenant_role(Role.MANAGER)
@recent_proof
def reset(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Replace the key of one slot."""
    subscription, now = _subscription(request, subscription_id), timezone.now()
    license = _license(subscription)
    try:
        flows.refuse_unless_resettable(license, subscription, now)
        expires_at = expiry(issued_at=now, days=license.days, ends_at=subscription.ends_at)
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    key = _key(license, slot)
    form = ResetForm(posted(request), key=key, now=now, initial=kept_form(request) or {})
    if request.method == "POST" and accepted(
        form,
        lambda: flows.reset(
            license=license,
            slot=slot,
            actor=request.actor,
            overlap=flows.Overlap(form.cleaned_data["overlap"]),
            expected_jti=form.cleaned_data["expected_jti"],
        ),
    ):
        messages.success(
            request,
            f"The {slot.label.lower()} key was reset. Download it, install it on your terminals "
            f"and check it; then reset the {slot.other.label.lower()} key.",
        )
        return done(request, _address(subscription), event=CHANGED)
    context = {
        "form": form,
        "slot": slot,
        "key": key,
        "license": license,
        "expires_at": expires_at,
        "old": license.keys.overlapping(now).filter(slot=slot).first(),
    }
    return _form_page(request, "reset", subscription, form, context)


@form_page
@tenant_role(Role.MANAGER)
def end_overlap(request: TenantRequest, subscription_id: UUID, slot: Slot) -> HttpResponse:
    """Stop the old key of a slot now."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    if request.method == "POST":
        try:
            flows.end_overlap(license=license, slot=slot, actor=request.actor)
        except Refused as refusal:
            messages.error(request, refusal.sentence)
        else:
            messages.success(request, f"The old {slot.label.lower()} key is refused from now on.")
        return done(request, _address(subscription), event=CHANGED)
    old = license.keys.overlapping().filter(slot=slot).first()
    if old is None:
        return _refused(
            request, subscription, Refused("No old key of this slot is accepted any more.")
        )
    context = {"subscription": subscription, "slot": slot, "old": old}
    return page(request, "licenses/end_overlap.html", context, fragment="dialog")


@form_page
@tenant_role(Role.MANAGER)
@recent_proof
def delete(request: TenantRequest, subscription_id: UUID) -> HttpResponse:
    """Delete both license keys for good."""
    subscription = _subscription(request, subscription_id)
    license = _license(subscription)
    try:
        flows.refuse_unless_deletable(license)
    except Refused as refusal:
        return _refused(request, subscription, refusal)
    form = DeleteForm(posted(request), subscription=subscription, initial=kept_form(request) or {})
    if request.method == "POST" and accepted(
        form, lambda: flows.delete(license=license, actor=request.actor)
    ):
        messages.success(
            request,
            "Both license keys were deleted. The subscription stays: generate new keys to start "
            "its terminals again.",
        )
        return done(request, _address(subscription), event=CHANGED)
    return _form_page(request, "delete", subscription, form, {"form": form, "license": license})


@require_safe
@tenant_role(Role.VIEWER)
def identifiers(request: TenantRequest) -> HttpResponse:
    """Show what terminals are configured with: tenant, user, and each subscription's pair."""
    rows = Subscription.objects.for_tenant(request.tenant).with_authorized_application_id()
    context = {
        "page": keyset_page(
            rows, after=request.GET.get("after", ""), before=request.GET.get("before", "")
        ),
    }
    return page(request, "licenses/identifiers.html", context, fragment="rows")


def _subscription(request: TenantRequest, subscription_id: UUID) -> Subscription:
    """Return the subscription of the member's tenant; any other does not exist (404)."""
    return get_object_or_404(
        Subscription.objects.for_tenant(request.tenant).select_related("plan", "tenant"),
        pk=subscription_id,
    )


def _license(subscription: Subscription) -> License:
    """Return the living license, else the last one, of which flows say that it was deleted.

    404 where there never was one.
    """
    licenses = License.objects.filter(subscription=subscription).select_related("tenant")
    license = licenses.order_by(F("deleted_at").desc(nulls_first=True)).first()
    if license is None:
        raise Http404
    return license


def _key(license: License, slot: Slot) -> LicenseKey:
    return get_object_or_404(license.keys.current(), slot=slot)


def _address(subscription: Subscription) -> str:
    return reverse("subscriptions:detail", args=[subscription.pk])


def _form_page(
    request: TenantRequest, name: str, subscription: Subscription, form: Any, more: dict[str, Any]
) -> HttpResponse:
    context = {"subscription": subscription, **more}
    status = 422 if form.errors else 200
    return page(request, f"licenses/{name}.html", context, fragment="dialog", status=status)


def _verdict_page(
    request: TenantRequest, name: str, subscription: Subscription, form: Any, more: dict[str, Any]
) -> HttpResponse:
    """Answer a check: with HTMX the verdict alone goes into its live region."""
    if more["verdict"] is not None and wants_fragment(request):
        context = {"subscription": subscription, **more}
        return page(request, "licenses/verdict.html", context, fragment="verdict")
    return retarget(_form_page(request, name, subscription, form, more), "#dialog")


def _refused(request: TenantRequest, subscription: Subscription, refusal: Refused) -> HttpResponse:
    """Say why there is no form to fill in."""
    context = {"subscription": subscription, "sentence": refusal.sentence}
    return page(request, "licenses/refused.html", context, fragment="dialog", status=422)
