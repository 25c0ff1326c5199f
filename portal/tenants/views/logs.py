"""The log of a tenant: filtered, in pages, and as CSV."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.activity.models import LogEntry, LogEntryQuerySet
from portal.core.steps import read_in_steps
from portal.tenants.access import TenantRequest, hidden_from_support, tenant_role
from portal.tenants.forms import LogFilterForm
from portal.tenants.models import Role
from portal.web.csv_files import csv_answer
from portal.web.pages import page, wants_fragment
from portal.web.paging import keyset_page

HEADS = (
    "time_utc",
    "number",
    "actor_kind",
    "actor_name",
    "actor_email",
    "action",
    "what",
    "subscription_id",
    "subscription_name",
    "slot",
    "result",
    "reason",
    "details",
    "address",
)
ROWS_PER_READ = 2_000
"""Rows that an export reads at a time."""
FOLDED = 3
"""From how many rows on those that say the same, one after the other, are shown as one."""


@dataclass(frozen=True, kw_only=True)
class Same:
    """Rows one after the other in which the same person does the same, the newest first."""

    entries: list[LogEntry]

    @property
    def newest(self) -> LogEntry:
        """The row that stands for all."""
        return self.entries[0]

    @property
    def since(self) -> datetime | None:
        """When the oldest was, if that was another day."""
        newest, oldest = self.newest.at, self.entries[-1].at
        is_a_day = timezone.localdate(newest) == timezone.localdate(oldest)
        return None if is_a_day else oldest

    @property
    def subscriptions(self) -> int:
        """How many subscriptions they are about."""
        return len({entry.subscription_id for entry in self.entries} - {None})

    @property
    def what(self) -> str:
        """What happened, with the slot if it is the same in all."""
        is_one_slot = len({entry.slot for entry in self.entries}) == 1
        return self.newest.describe() if is_one_slot else self.newest.label


def folded(rows: Iterable[LogEntry]) -> list[Same]:
    """Return the rows, FOLDED and more that say the same as one."""
    found: list[Same] = []
    for _, run in groupby(rows, _said):
        entries = list(run)
        parts = [entries] if len(entries) >= FOLDED else [[entry] for entry in entries]
        found += [Same(entries=part) for part in parts]
    return found


def _said(entry: LogEntry) -> tuple[object, ...]:
    who = (entry.actor_kind, entry.actor_id, entry.actor_name)
    return (*who, entry.label, entry.result, entry.reason)


@require_safe
@tenant_role(Role.VIEWER)
def listing(request: TenantRequest) -> HttpResponse:
    """Show what happened in the tenant."""
    return _page(request, LogFilterForm(request.GET, tenant=request.tenant))


def _page(request: TenantRequest, form: LogFilterForm, *, status: int = 200) -> HttpResponse:
    found = keyset_page(
        _rows(request, form),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
        by=("at", "seq"),
    )
    context = {
        "form": form,
        "is_fragment": wants_fragment(request),
        "page": found,
        "rows": folded(found.rows),
        "is_filtered": any(form.data.get(name) for name in form.fields),
        "but_person": _parameters_but(request, "person"),
        "but_subscription": _parameters_but(request, "subscription"),
    }
    return page(request, "logs/list.html", context, fragment="rows", status=status)


def _parameters_but(request: TenantRequest, name: str) -> str:
    """Return the address's filter, to write another value of this parameter behind it."""
    kept = request.GET.copy()
    for dropped in (name, "after", "before"):
        kept.pop(dropped, None)
    return f"{kept.urlencode()}&" if kept else ""


@hidden_from_support
@require_safe
@tenant_role(Role.VIEWER)
def export(request: TenantRequest) -> HttpResponseBase:
    """Send the rows that the filter finds as CSV, the newest first; refuse a bad filter (422)."""
    form = LogFilterForm(request.GET, tenant=request.tenant)
    if not form.is_valid():
        return _page(request, form, status=422)
    rows = _rows(request, form)
    return csv_answer(
        f"log-{timezone.now():%Y-%m-%d}.csv",
        HEADS,
        (_cells(entry) for entry in read_in_steps(rows, ROWS_PER_READ)),
    )


def _rows(request: TenantRequest, form: LogFilterForm) -> LogEntryQuerySet:
    """Return the rows of the tenant that the filter finds; none when it is invalid.

    The log of a subscription of another tenant does not exist (404).
    """
    rows = LogEntry.objects.for_tenant(request.tenant.pk)
    if not form.is_valid():
        return rows.none()
    wanted = form.cleaned_data
    if wanted["subscription"] is not None:
        if not wanted["subscription"]:
            raise Http404
        rows = rows.for_subscriptions(wanted["subscription"])
    if wanted["person"]:
        rows = rows.by_actor(wanted["person"])
    if wanted["action"]:
        rows = rows.of_action(wanted["action"])
    return rows.on_days(wanted["since"], wanted["until"])


def _cells(entry: LogEntry) -> list[Any]:
    return [
        entry.at.isoformat(timespec="milliseconds"),
        entry.seq,
        entry.actor_kind,
        entry.actor_name,
        entry.actor_email,
        entry.action,
        entry.describe(),
        entry.subscription_id or "",
        entry.subscription_name,
        entry.slot,
        entry.result,
        entry.reason,
        json.dumps(entry.details, ensure_ascii=False) if entry.details else "",
        entry.address,
    ]
