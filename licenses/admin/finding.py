"""Find the record of a license key that somebody sent, and say what a terminal with it hears."""

from typing import Any

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
from portal.core.numbers import is_key
from portal.core.refusal import Refused
from portal.operators.actions import ActionsAdmin
from portal.operators.model_admin import PlainAdmin, listing
from portal.web.forms import posted, refusals_on


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
            return redirect(check_address(key_of(form.cleaned_data["presented"])))
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
        "checks": listing("licenses_checkcount", license_key__id__exact=key.pk),
    }
    return admin.page(request, "admin/key_check.html", context)


def _deleted() -> Verdict:
    """Return the verdict on a key whose token was erased: nothing of it can be checked any more."""
    result = Result.DELETED
    return Verdict(
        result=result,
        description=result.sentence,
        checked_at=timezone.now(),
        compared=frozenset[Any](),
    )


def key_of(presented: str) -> LicenseKey:
    """Return the record of a key or license file; raises Refused, naming the jti, without one."""
    token, _members = read_presented(presented)
    verdict = check(token, expected={})
    if verdict.parsed is None:
        raise Refused("This is no license key.", field="text")
    if verdict.key is not None:
        return LicenseKey(pk=verdict.key.pk)
    jti = verdict.parsed.jti
    if jti is not None and LicenseKey.objects.filter(jti=jti).exists():
        raise Refused(
            f"There is a key with the jti {jti}, but it is not this one: {verdict.description}",
            field="text",
        )
    raise Refused(
        f"There is no record of this key (jti {jti}): {verdict.description}", field="text"
    )
