"""Import of CSV files by operators: a dry run that tells what becomes of every row, then the rows.

The dry run is the import itself, rolled back: what it tells holds, unless somebody changes
something meanwhile.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from portal.accounts.requests import actor_of
from portal.core.actors import Actor
from portal.core.refusal import Refused
from portal.operators.forms import ReasonForm
from portal.operators.model_admin import PlainAdmin
from portal.web.csv_files import original

MAX_ROWS = 500
MAX_BYTES = 256 * 1024
"""Bytes of a file: it is sent back once more with the confirmation."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """What a file may hold: a form that reads one row, and the flow that stores it."""

    row: type[forms.Form]
    store: Callable[..., object]

    @property
    def columns(self) -> dict[str, forms.Field]:
        """The columns by name."""
        return dict(self.row.base_fields)


@dataclass(frozen=True)
class ImportedRow:
    """What becomes of one row of the file."""

    line: int
    cells: list[str]
    text: str
    refused: bool


class ImportForm(ReasonForm):
    """The file, or the text of one that went through a dry run; and why it is imported."""

    file = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=f"UTF-8, comma separated, at most {MAX_ROWS} rows.",
    )
    text = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, imported: Import, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.imported = imported

    def clean(self) -> dict[str, Any]:
        """Read the rows; every column must be known, and those that are needed must be there."""
        cleaned = super().clean() or {}
        file, text = cleaned.get("file"), cleaned.get("text", "")
        if file is not None:
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

    def _rows(self, text: str) -> list[dict[str, str]]:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        heads, columns = list(reader.fieldnames or []), self.imported.columns
        missing = [name for name, field in columns.items() if field.required and name not in heads]
        strange = [head for head in heads if head not in columns]
        if missing or strange or len(set(heads)) < len(heads):
            raise Refused(
                "The first line must name the columns, each once. "
                f"Missing: {', '.join(missing) or '-'}. Unknown: {', '.join(strange) or '-'}."
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise Refused(f"Line {reader.line_num} has more or fewer cells than columns.")
            rows.append({name: original(cell) for name, cell in row.items()})
        if not rows or len(rows) > MAX_ROWS:
            raise Refused(f"The file has {len(rows)} rows; 1 to {MAX_ROWS} can be imported.")
        return rows


class ImportsAdmin(PlainAdmin):
    """Offers the import of a CSV file to whoever may add rows."""

    imported: Import

    def get_urls(self) -> list[Any]:
        """Add the address of the import."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_import"
        route = path("import/", self.admin_site.admin_view(self.import_view), name=name)
        return [route, *super().get_urls()]

    @override
    def other_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Lead to the import."""
        links = super().other_links(request)
        if self.has_add_permission(request):
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_import"
            links.append(("Import CSV", reverse(name)))
        return links

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the file; tell what would become of its rows; import them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        results: list[ImportedRow] = []
        is_post, is_done = request.method == "POST", False
        form = ImportForm(
            request.POST if is_post else None, request.FILES or None, imported=self.imported
        )
        if is_post and form.is_valid():
            is_done = "confirmed" in request.POST
            run = self._import if is_done else self._dry_run
            actor = actor_of(request)
            results = run(form.cleaned_data["rows"], actor, form.cleaned_data["reason"])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Import {self.opts.verbose_name_plural}",
            "form": form,
            "columns": self.imported.columns,
            "results": results,
            "good": sum(not result.refused for result in results),
            "is_done": is_done,
            "text": form.cleaned_data.get("text", "") if results else "",
            "list": self.list_address(),
        }
        status = 422 if is_post and not results else 200
        return TemplateResponse(request, "admin/import.html", context, status=status)

    def _dry_run(self, rows: list[dict[str, str]], actor: Actor, reason: str) -> list[ImportedRow]:
        with transaction.atomic():
            results = self._import(rows, actor, reason)
            transaction.set_rollback(True)
        return results

    def _import(self, rows: list[dict[str, str]], actor: Actor, reason: str) -> list[ImportedRow]:
        return [self._store(line, row, actor, reason) for line, row in enumerate(rows, start=2)]

    def _store(self, line: int, row: dict[str, str], actor: Actor, reason: str) -> ImportedRow:
        form = self.imported.row(row)
        try:
            if not form.is_valid():
                name, [sentence, *_] = next(iter(form.errors.items()))
                raise Refused(f"{name}: {sentence}")
            with transaction.atomic():
                self.imported.store(actor=actor, reason=reason, **form.cleaned_data)
        except Refused as refusal:
            return ImportedRow(line, list(row.values()), refusal.sentence, refused=True)
        return ImportedRow(line, list(row.values()), "Added", refused=False)
