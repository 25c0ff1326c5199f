"""Who has license keys of one signing key to reset: a page with the progress, and a CSV file."""

from itertools import islice

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from licenses.admin.searching import customer_address
from licenses.figures.withdrawals import HEADS, affected, progress
from licenses.models import SigningKey
from portal.core.numbers import is_key
from portal.operators.model_admin import PlainAdmin
from portal.web.csv_files import csv_answer

MOST = 100
"""Subscriptions on the page; the file has all."""


def affected_address(signing_key: SigningKey) -> str:
    """Return the address of the page."""
    return reverse("admin:licenses_signingkey_affected", args=[signing_key.pk])


def affected_view(page: PlainAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show who is affected since the signing key was disabled, or would be."""
    signing_key = _signing_key(page, request, object_id)
    found = list(islice(affected(signing_key), MOST + 1))
    context = {
        "title": f"Affected by {signing_key.kid[:8]}",
        "signing_key": signing_key,
        "progress": progress(signing_key).sentence if signing_key.disabled_at else "",
        "rows": [(each, customer_address(each.subscription.tenant_id)) for each in found[:MOST]],
        "is_more": len(found) > MOST,
        "export": reverse("admin:licenses_signingkey_affected_csv", args=[signing_key.pk]),
    }
    return page.page(request, "admin/affected.html", context)


def affected_export(page: PlainAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """Answer with all of them as CSV."""
    signing_key = _signing_key(page, request, object_id)
    rows = (each.cells() for each in affected(signing_key))
    return csv_answer(f"affected-{signing_key.kid[:8]}.csv", HEADS, rows)


def _signing_key(page: PlainAdmin, request: HttpRequest, object_id: str) -> SigningKey:
    if not page.has_view_permission(request):
        raise PermissionDenied
    rows = SigningKey.objects.defer("private_key", "certificate")
    found = rows.filter(pk=object_id).first() if is_key(SigningKey, object_id) else None
    if found is None:
        raise Http404
    return found
