"""Find the record of a license key that somebody pasted or uploaded."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from licenses.checking.check import check
from licenses.files import read_presented
from licenses.forms import PresentedKeyForm
from licenses.models import LicenseKey
from portal.core.refusal import Refused
from portal.operators.model_admin import PlainAdmin
from portal.web.forms import posted, refusals_on


def find_view(admin: PlainAdmin, request: HttpRequest) -> HttpResponse:
    """Ask for the key by POST, which keeps it out of URLs, and redirect to its record."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    form = PresentedKeyForm(posted(request), request.FILES or None)
    if form.is_valid():
        with refusals_on(form):
            return _page_of(form.cleaned_data["presented"])
    return admin.page(request, "admin/find.html", {"title": "Find a license key"}, form=form)


def _page_of(presented: str) -> HttpResponse:
    """Return a redirect to the key's page; raises Refused, naming the jti, without a record."""
    token, _members = read_presented(presented)
    verdict = check(token, expected={})
    if verdict.parsed is None:
        raise Refused("This is no license key.", field="text")
    if verdict.key is not None:
        return redirect("admin:licenses_licensekey_change", verdict.key.pk)
    jti = verdict.parsed.jti
    if jti is not None and LicenseKey.objects.filter(jti=jti).exists():
        raise Refused(
            f"There is a key with the jti {jti}, but it is not this one: {verdict.description}",
            field="text",
        )
    raise Refused(
        f"There is no record of this key (jti {jti}): {verdict.description}", field="text"
    )
