"""Import of CSV files by operators: a dry run that shows the result for each row, then the import.

The dry run is the import itself, rolled back: its results are right unless somebody changes
something meanwhile.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse

from portal.accounts.proof import kept_post, proof_first, recent_proof
from portal.accounts.requests import actor_of
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.refusal import Refused
from portal.operators.forms import ReasonForm
from portal.operators.model_admin import PlainAdmin
from portal.web.csv_files import csv_answer, original

MAX_ROWS = 500
SEPARATORS = ",;\t"
MAX_BYTES = 256 * 1024
"""Bytes of a file: it is sent back once more with the confirmation."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """What a file may hold: a form that reads one row, and the flow that stores it."""

    row: type[forms.Form]
    store: Callable[..., Model]
    sample: tuple[tuple[str, ...], ...]
    """Rows that show what a file looks like."""

    @property
    def columns(self) -> dict[str, forms.Field]:
        """The columns by name."""
        return dict(self.row.base_fields)


@dataclass(frozen=True)
class FileRow:
    """One row as it stands in the file: its first line, from 1, and its cells by column."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class ImportedRow:
    """The result for one row of the file.

    `understood` holds (name, readable value) of each column with a value: moments in UTC, and
    names in place of identifiers and codes.
    """

    line: int
    cells: list[str]
    understood: list[tuple[str, str]]
    text: str
    refused: bool
    address: str = ""
    """Page of the row that was added."""
    identifier: str = ""
    """Its identifier, once it is stored."""
    customer: str = ""
    """Page of the customer whose it is."""


class ImportForm(ReasonForm):
    """The file, or the text of one that went through a dry run; and why it is imported."""

    file = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=f"UTF-8, separated by commas, semicolons or tabs, at most {MAX_ROWS} rows.",
    )
    text = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, imported: Import, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.imported = imported

    @override
    def clean(self) -> dict[str, Any]:
        """Read the rows; every column must be known, and those that are needed must be there."""
        cleaned = super().clean() or {}
        file, text = cleaned.get("file"), cleaned.get("text", "")
        if file is not None:
            if text or "confirmed" in self.data:
                self.add_error("file", "No dry run has shown this file. Send it alone.")
                return cleaned
            if file.size > MAX_BYTES:
                self.add_error(
                    "file", f"The file is larger than {MAX_BYTES // 1024} KiB. Split it."
                )
                return cleaned
            try:
                text = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", "This is no UTF-8 text. Save the table as CSV UTF-8.")
                return cleaned
        if not text.strip():
            self.add_error("file", "Choose a file.")
            return cleaned
        cleaned["text"] = text
        try:
            cleaned["rows"] = self._rows(text)
        except (csv.Error, Refused) as error:
            self.add_error("file", str(error))
        return cleaned

    def _rows(self, text: str) -> list[FileRow]:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
        heads, rows, ended = None, [], 0
        for cells in lines:
            line, ended = ended + 1, lines.line_num
            values = [original(cell.strip()).strip() for cell in cells]
            if not any(values):
                continue
            if heads is None:
                heads = self._heads(values)
                continue
            if len(values) < len(heads) or any(values[len(heads) :]):
                raise Refused(f"Line {line} has more or fewer cells than columns.")
            rows.append(FileRow(line, dict(zip(heads, values, strict=False))))
        if heads is None:
            self._heads([])
        if not rows or len(rows) > MAX_ROWS:
            raise Refused(f"The file has {len(rows)} rows; 1 to {MAX_ROWS} can be imported.")
        return rows

    def _heads(self, cells: list[str]) -> list[str]:
        """Return the names of the columns, which exports write with blanks.

        Empty cells at the end are left out.
        """
        columns = self.imported.columns
        heads = ["_".join(cell.lower().split()) for cell in cells]
        while heads and not heads[-1]:
            heads.pop()
        missing = [name for name, field in columns.items() if field.required and name not in heads]
        unknown = [head for head in heads if head not in columns]
        if missing or unknown or len(set(heads)) < len(heads):
            told = [("Missing", missing), ("Unknown", unknown)]
            listed = [f" {word}: {', '.join(heads)}." for word, heads in told if heads]
            raise Refused(f"The first line must name the columns, each once.{''.join(listed)}")
        return heads


def _separator(text: str) -> str:
    """Return what separates the cells: no name of a column holds any of these."""
    heads = next((line for line in text.splitlines() if line.strip(" \t,;")), "")
    return max(SEPARATORS, key=heads.count)


class ImportsAdmin(PlainAdmin):
    """Offers the import of a CSV file to whoever may add rows."""

    imported: Import

    @override
    def get_urls(self) -> list[Any]:
        """Add the address of the import."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_import"
        view = self.admin_site.admin_view(proof_first(self.import_view))
        route = path("import/", view, name=name)
        sample = self.admin_site.admin_view(self.sample_view)
        sample_route = path("import/sample/", sample, name=f"{name}_sample")
        refused = self.admin_site.admin_view(recent_proof(self.refused_view))
        refused_route = path("import/refused/", refused, name=f"{name}_refused")
        return [route, sample_route, refused_route, *super().get_urls()]

    @override
    def other_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Add a link to the import."""
        links = super().other_links(request)
        if self.has_add_permission(request):
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_import"
            links.append(("Import CSV", reverse(name)))
        return links

    def sample_view(self, request: HttpRequest) -> HttpResponseBase:
        """Return a file to begin with."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        name = f"{self.opts.model_name}-sample.csv"
        return csv_answer(name, list(self.imported.columns), self.imported.sample)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the file, show the results of a dry run, then import the rows.

        A text that was kept while a proof was asked for goes through a dry run again.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        results: list[ImportedRow] = []
        is_post, is_done, kept = request.method == "POST", False, kept_post(request)
        form = ImportForm(
            request.POST if is_post else kept, request.FILES or None, imported=self.imported
        )
        if form.is_valid():
            is_done = "confirmed" in request.POST
            run = self._import if is_done else self._dry_run
            results = run(form.cleaned_data["rows"], actor_of(request), form.cleaned_data["reason"])
        context = {
            "title": f"Import {self.opts.verbose_name_plural}",
            "columns": self.imported.columns,
            "sample": f"{self.list_address()}import/sample/",
            "first_line": ",".join(self.imported.columns),
            "results": results,
            "refused_first": sorted(results, key=lambda result: not result.refused),
            "again": request.path,
            "good": sum(not result.refused for result in results),
            "plans": self._plans(request),
            "then": self._then(request),
            "is_done": is_done,
            "text": form.cleaned_data.get("text", "") if results else "",
        }
        return self.page(request, "admin/import.html", context, form=form)

    def refused_view(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the rows that a dry run refuses, with what is wrong, to be mended."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST, imported=self.imported)
        if not form.is_valid():
            return redirect(f"{self.list_address()}import/")
        rows = form.cleaned_data["rows"]
        results = self._dry_run(rows, actor_of(request), form.cleaned_data["reason"])
        refused = [result.cells for result in results if result.refused]
        return csv_answer(f"{self.opts.model_name}-refused.csv", list(rows[0].cells), refused)

    def _plans(self, request: HttpRequest) -> str:
        """Return the address of the list of plans, where the file names one."""
        return reverse("admin:subscriptions_plan_changelist") * ("plan" in self.imported.columns)

    def _then(self, request: HttpRequest) -> str:
        """Return the address of the import that comes after the one of tenants."""
        may = request.user.has_perm("subscriptions.add_subscription")
        is_tenants = self.opts.model_name == "tenant"
        return reverse("admin:subscriptions_subscription_import") * (may and is_tenants)

    def _dry_run(self, rows: list[FileRow], actor: Actor, reason: str) -> list[ImportedRow]:
        with transaction.atomic():
            results = self._import(rows, actor, reason)
            transaction.set_rollback(True)
        return results

    def _import(self, rows: list[FileRow], actor: Actor, reason: str) -> list[ImportedRow]:
        return [self._store(row, actor, reason) for row in rows]

    def _store(self, row: FileRow, actor: Actor, reason: str) -> ImportedRow:
        form, cells = self.imported.row(row.cells), list(row.cells.values())
        understood = _understood(form) if form.is_valid() else []
        try:
            if form.errors:
                told = [f"{n}: {text}" for n, texts in form.errors.items() for text in texts]
                raise Refused(" ".join(told))
            with transaction.atomic():
                made = self.imported.store(actor=actor, reason=reason, **form.cleaned_data)
        except Refused as refusal:
            return ImportedRow(row.line, cells, understood, refusal.sentence, refused=True)
        address = reverse(
            f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[made.pk]
        )
        tenant = getattr(made, "tenant", made)
        return ImportedRow(
            row.line,
            cells,
            understood,
            "Added",
            refused=False,
            address=address,
            identifier=str(made.pk),
            customer=reverse("admin:portal_tenant_customer", args=[tenant.pk]),
        )


def _understood(form: forms.Form) -> list[tuple[str, str]]:
    given = {name: value for name, value in form.cleaned_data.items() if value not in (None, "")}
    return [(name, _for_people(value)) for name, value in given.items()]


def _for_people(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
