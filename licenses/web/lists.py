"""The tenant's subscriptions in a list, the files of several at once, and their identifiers."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from licenses.files import archive
from licenses.flows.download import download_keys
from licenses.models import LicensedSubscriptions
from licenses.web.first_visit import STEPS, first_visit
from licenses.web.list_forms import FILES, MAX_CHOSEN, DownloadForm, IdentifierForm, ListForm
from licenses.web.triage import NEEDS, heads, narrowed, order, overview, read_needs
from portal.tenants.access import TenantRequest, hidden_from_support, tenant_role
from portal.tenants.models import Role
from portal.web.pages import elsewhere, page
from portal.web.paging import keyset_page
from subscriptions.models import Subscription

SIZES = {"100": 100}
"""Rows of a page by the parameter `rows`; any other is DEFAULT_SIZE."""
SHOWN = (
    *("name", "labels", "note", "state", "ends_at", "created_at", "plan_id"),
    *("plan__name", "plan__billing_period"),
)
"""The columns that the list shows: half of a page's time would go into reading the others."""
DEFAULT_SIZE = 25


@require_safe
@tenant_role(Role.VIEWER)
def listing(request: TenantRequest) -> HttpResponse:
    """List the tenant's subscriptions."""
    form, rows, known = ListForm(request.GET), _subscriptions(request), overview(request.tenant)
    now = timezone.now()
    form.full_clean()
    text, narrowed_to = (form.cleaned_data.get(name, "") for name in ("q", "state"))
    sorting = order(request.GET.get("sort", ""), narrowed_to=narrowed_to)
    if narrowed_to:
        rows = narrowed(rows, narrowed_to, now)
    size = SIZES.get(request.GET.get("rows", ""), DEFAULT_SIZE)
    total = None if text else known.counts.get(narrowed_to)
    is_plain = sorting.name == "need" and not text and not narrowed_to
    urgent = known.most_urgent if is_plain else ()
    shown = rows.with_state().select_related("plan").only(*SHOWN)
    found = keyset_page(
        sorting.rows(shown.matching(text).exclude(pk__in=urgent), narrowed_to=narrowed_to),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
        jump=total.page(request.GET.get("page", ""), size) if total else 1,
        lead=sorted(shown.filter(pk__in=urgent), key=lambda row: urgent.index(row.pk)),
        by=sorting.by,
        kind=sorting.kind,
        descending=sorting.descending,
        size=size,
    )
    listed: Sequence[Any] = found.rows
    read_needs(listed, now)
    context = {
        "form": form,
        "page": found,
        "pages": total.pages(size) if total else " ",
        "jumps_to": total.last_page(size) if total else 0,
        "order": sorting,
        "sort": request.GET.get("sort", ""),
        "heads": heads(sorting),
        "narrowed_to": narrowed_to,
        "needs": [(name, badge, known.counts[name]) for name, badge in NEEDS.items()],
        "all": known.counts[""],
        "has_any": bool(found.rows) or known.counts[""].number > 0,
        "is_filtered": bool(text or narrowed_to),
        "may_manage": request.member.may(Role.MANAGER),
        "may_start_community": request.member.may(Role.MANAGER) and known.may_start_community,
        "may_download": not request.support_view,
        "may_choose": not request.support_view and any(row.files for row in listed),
        "chosen": request.GET.getlist("chosen"),
        "files": FILES,
        "first_visit": first_visit(request.tenant, known.counts[""].number),
        "steps": STEPS,
    }
    return page(request, "licenses/list.html", context, fragment="rows")


@require_POST
@tenant_role(Role.VIEWER)
@hidden_from_support
def download(request: TenantRequest) -> HttpResponse:
    """Send the license files of the chosen subscriptions as one archive."""
    form, now = DownloadForm(request.POST, tenant=request.tenant), timezone.now()
    if not form.is_valid():
        messages.error(request, str(next(iter(form.errors.values()))[0]))
        return elsewhere(request, _back(request))
    chosen, slots = form.cleaned_data["subscription"], form.cleaned_data["keys"]
    taken = download_keys(subscriptions=chosen, slots=slots, actor=request.actor, now=now)
    if not taken.files:
        why = " ".join(list(taken.refused.values())[:3])
        messages.error(request, f"There is no file to download. {why}")
        return elsewhere(request, _back(request))
    files = archive({**taken.files, "README.txt": taken.readme.encode()}, at=now)
    response = HttpResponse(files, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="license-files-{now:%Y-%m-%d}.zip"'
    response["Cache-Control"] = "no-store"
    return response


def _back(request: TenantRequest) -> str:
    """Return the address of the list as it was, with the same rows and files chosen."""
    query = request.GET.copy()
    query.setlist("chosen", request.POST.getlist("subscription")[:MAX_CHOSEN])
    query["files"] = request.POST.get("keys", "")
    return f"{reverse('subscriptions:list')}?{query.urlencode()}"


@require_safe
@tenant_role(Role.VIEWER)
def identifiers(request: TenantRequest) -> HttpResponse:
    """Show what terminals are configured with: identifiers of tenant, user, and subscriptions.

    Subscriptions without license keys, of which there may be many, are on a page of their own.
    """
    form, without_keys = IdentifierForm(request.GET), request.GET.get("keys") == "none"
    form.full_clean()
    text = form.cleaned_data.get("q", "")
    rows = _subscriptions(request).matching(text).with_state().select_related("plan")
    found = keyset_page(
        rows.unlicensed() if without_keys else rows.licensed().with_authorized_application_id(),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    read_needs(found.rows, timezone.now())
    context = {
        "form": form,
        "page": found,
        "without_keys": without_keys,
        "is_filtered": bool(text),
    }
    return page(request, "licenses/identifiers.html", context, fragment="rows")


def _subscriptions(request: TenantRequest) -> LicensedSubscriptions:
    """Return the subscriptions of the member's tenant alone."""
    return LicensedSubscriptions(Subscription).for_tenant(request.tenant)
