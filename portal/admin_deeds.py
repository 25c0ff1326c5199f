"""What operators do to rows: a confirmation page, a reason, a flow, and a result for each row.

A deed is offered on the list (for the rows that are ticked) and on the page of one row. Nothing
happens before the confirmation page, which says what will happen to whom, is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from portal.access import actor_of
from portal.admin_site import PlainAdmin
from portal.forms import ReasonForm
from portal.refusal import Refused

MOST = 200
"""Rows that one deed takes: more are no longer read by whoever confirms it."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing that operators may do to rows of a list.

    `act(row, actor=..., reason=..., **fields of the form)` is the flow. `says` is what happens;
    `of(row)` tells what of the row matters for the decision. `permission` names the
    `has_..._permission` of the admin class.
    """

    name: str
    label: str
    says: str
    act: Callable[..., object]
    of: Callable[[Any], str]
    form: type[ReasonForm] = ReasonForm
    permission: str = "change"
    waits: bool = False


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one row."""

    row: Model
    address: str
    text: str
    refused: bool


class DeedsAdmin(PlainAdmin):
    """Offers deeds, on the list and on the page of a row."""

    deeds: tuple[Deed, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actions = [_as_action(deed) for deed in self.deeds]

    def get_urls(self) -> list[Any]:
        """Add the address that confirmation pages are sent to."""
        route = path(
            "do/<slug:name>/",
            self.admin_site.admin_view(self.deed_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_do",
        )
        return [route, *super().get_urls()]

    def confirm(
        self, request: HttpRequest, queryset: QuerySet[Any], deed: Deed, form: ReasonForm
    ) -> HttpResponse:
        """Answer with the page that says what will happen to whom."""
        rows = list(queryset[: MOST + 1])
        if len(rows) > MOST:
            self.message_user(
                request, f"These are more than {MOST} rows. Choose fewer.", messages.ERROR
            )
            return redirect(self._list())
        self._refuse_forbidden(request, deed, rows)
        context = {
            "title": deed.label,
            "deed": deed,
            "rows": [(row, deed.of(row)) for row in rows],
            "form": form,
            "action": self._address(deed),
            "media": self.media + form.media,
        }
        status = 422 if form.is_bound else 200
        return self._page(request, "admin/deed.html", context, status)

    def deed_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do it to every row of a confirmation page, each in a transaction of its own."""
        deed = next((deed for deed in self.deeds if deed.name == name), None)
        if deed is None:
            raise Http404
        if request.method != "POST":
            return redirect(self._list())
        queryset = self.get_queryset(request).filter(pk__in=request.POST.getlist("row"))
        form = deed.form(request.POST)
        if not form.is_valid():
            return self.confirm(request, queryset, deed, form)
        rows = list(queryset[:MOST])
        self._refuse_forbidden(request, deed, rows)
        fates = [self._do(request, deed, row, form.cleaned_data) for row in rows]
        context = {"title": f"{deed.label}: result", "fates": fates}
        return self._page(request, "admin/deed_result.html", context, 200)

    def _do(self, request: HttpRequest, deed: Deed, row: Any, chosen: dict[str, Any]) -> Fate:
        refused, text = False, "Waits 24 hours" if deed.waits else "Done"
        try:
            with transaction.atomic():
                deed.act(row, actor=actor_of(request), **chosen)
        except Refused as refusal:
            refused, text = True, refusal.sentence
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return Fate(row=row, address=reverse(name, args=[row.pk]), text=text, refused=refused)

    def _refuse_forbidden(self, request: HttpRequest, deed: Deed, rows: list[Any]) -> None:
        may = getattr(self, f"has_{deed.permission}_permission")
        if not may(request) or not all(may(request, row) for row in rows):
            raise PermissionDenied

    def _page(
        self, request: HttpRequest, template: str, context: dict[str, Any], status: int
    ) -> HttpResponse:
        house = {**self.admin_site.each_context(request), "opts": self.opts, "list": self._list()}
        return TemplateResponse(request, template, house | context, status=status)

    def _list(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _address(self, deed: Deed) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_do"
        return reverse(name, args=[deed.name])


def _as_action(deed: Deed) -> Callable[..., HttpResponse]:
    """Return the deed as Django's admin lists its actions; it leads to the confirmation page."""

    def action(
        modeladmin: DeedsAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse:
        return modeladmin.confirm(request, queryset, deed, deed.form())

    action.__name__ = deed.name
    places = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
    return admin.action(
        permissions=[deed.permission],
        description=deed.label,
        location=places,
    )(action)
