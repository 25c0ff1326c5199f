"""Find the record of a license key that somebody sent, and say what a terminal with it hears."""

import json
from typing import Any

from django.conf import settings
from django.contrib import admin as django_admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from licenses.admin.hearing import account_of, in_use
from licenses.checking.badges import badge_of, with_days
from licenses.checking.check import Verdict, check
from licenses.checking.results import Result
from licenses.checking.use import read_use
from licenses.files import read_presented
from licenses.forms import PresentedKeyForm
from licenses.models import LicenseKey
from licenses.tokens import from_base64url
from portal.core.numbers import is_key
from portal.core.refusal import Refused
from portal.operators import search
from portal.operators.actions import ActionsAdmin
from portal.operators.model_admin import PlainAdmin, listing
from portal.operators.pasted_keys import LOOKS_LIKE_A_KEY
from portal.web.forms import posted, refusals_on
from subscriptions.admin.actions import ACTIONS
from subscriptions.models import Subscription

DOTS = 2
"""Dots in a whole key."""
REMEDIES = {"activate", "resume"}
"""Actions on a subscription that make its license keys pass."""
MOST_SHOWN = 200
"""Characters that are shown of what a key says of itself."""


def check_address(key: LicenseKey) -> str:
    """Return the address of the page that says what a terminal with the key hears."""
    return reverse("admin:licenses_licensekey_check", args=[key.pk])


def find_view(admin: PlainAdmin, request: HttpRequest) -> HttpResponse:
    """Ask for the key by POST, which keeps it out of URLs, and redirect to its check."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    form = PresentedKeyForm(posted(request), request.FILES or None)
    if form.is_valid():
        with refusals_on(form):
            return answer_to(admin, request, form.cleaned_data["presented"])
    return admin.page(request, "admin/find.html", {"title": "Find a license key"}, form=form)


def check_view(admin: ActionsAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Say what a terminal with the stored key hears now, and why: by the very check it gets.

    The check is not recorded: no terminal made it.
    """
    if not admin.has_view_permission(request):
        raise PermissionDenied
    keys = LicenseKey.objects.select_related("tenant", "license__subscription__plan")
    key = keys.filter(pk=object_id).first() if is_key(LicenseKey, object_id) else None
    if key is None:
        raise Http404
    verdict = check(key.token, expected={}) if key.token else _deleted()
    now, subscription = verdict.checked_at, key.license.subscription
    context = {
        "title": f"{key.get_slot_display()} key of {subscription}",
        "key": key,
        "verdict": verdict,
        "account": account_of(key, verdict),
        "present": [
            (each, with_days(badge_of(each, subscription, now), each.expires_at, now))
            for each in in_use(subscription, now)
        ],
        "use": read_use([key], now).get(key.pk),
        "offer": admin.offer(request, key),
        "remedy": _remedy(request, subscription),
        "checks": listing("licenses_checkcount", license_key__id__exact=key.pk),
    }
    return admin.page(request, "admin/key_check.html", context)


def _remedy(request: HttpRequest, subscription: Subscription) -> dict[str, Any]:
    """Return what the operator may do to the subscription that makes its keys pass."""
    page = django_admin.site.get_model_admin(Subscription)
    assert isinstance(page, ActionsAdmin)
    return page.offer(request, subscription, [a for a in ACTIONS if a.name in REMEDIES])


def _deleted() -> Verdict:
    """Return the verdict on a key whose token was erased: nothing of it can be checked any more."""
    result = Result.DELETED
    return Verdict(
        result=result,
        description=result.sentence,
        checked_at=timezone.now(),
        compared=frozenset[Any](),
    )


def answer_to(admin: PlainAdmin, request: HttpRequest, presented: str) -> HttpResponse:
    """Redirect to the check of a key that has a record; of others say here what a terminal hears.

    Raises Refused for what has not even the form of a key. Nothing of the key gets into an address.
    """
    token, _members = read_presented(presented)
    verdict = check(token, expected={})
    if verdict.key is not None:
        return redirect(check_address(LicenseKey(pk=verdict.key.pk)))
    if not (begins_like_a_key(token) or LOOKS_LIKE_A_KEY.search(token)):
        raise Refused("This is no license key.", field="text")
    claims = _claims(token)
    jti = search.identifier(str(claims.get("jti")))
    same = LicenseKey.objects.select_related("tenant", "license__subscription")
    record = same.filter(jti=jti).first() if jti else None
    issuer = str(claims.get("iss") or "")[:MOST_SHOWN]
    context = {
        "title": "License key without a record",
        "verdict": verdict,
        "issuer": issuer,
        "is_ours": issuer == settings.LICENSE_ISSUER,
        "jti": jti,
        "record": record,
        "todo": _todo(token, verdict, issuer, record),
    }
    return admin.page(request, "admin/unknown_key.html", context)


def begins_like_a_key(text: str) -> bool:
    """Return whether the text begins as every license key does: "{" and a quote in base64url."""
    return text.lstrip().startswith("eyJ")


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a key whose form is wrong elsewhere, {} where they cannot be read."""
    try:
        claims = json.loads(from_base64url(token.split(".")[1]))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _todo(token: str, verdict: Verdict, issuer: str, record: LicenseKey | None) -> str:
    """Return what the customer does; nothing of it trusts what an unverified key says."""
    if token.count(".") < DOTS or (record and record.token and record.token.startswith(token)):
        return "The key is cut. Copy the whole file, or download it again."
    if issuer and issuer != settings.LICENSE_ISSUER:
        return "This key is of another issuer. Ask them, or install a key that this portal issued."
    if record:
        return f"The key was changed. Download it again from {record.license.subscription}."
    return verdict.advice
