"""Lists of the admin: pages without full counts, filters, and their export."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, override

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Choices, QuerySet
from django.http import HttpRequest

from portal.tenants.models import Tenant, country_choices

MAX_LISTED = 5_000
"""Rows that the pages of a list show; nobody reads further, and counting more would be slow."""

ROWS_PER_READ = 500
"""Rows of an export that are read at once, with what they name."""


class CappedPaginator(Paginator):
    """Pages that count no further than MAX_LISTED rows."""

    @cached_property
    @override
    def count(self) -> int:
        """Count MAX_LISTED rows at most."""
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:MAX_LISTED].count())

    @property
    def is_capped(self) -> bool:
        """Whether there are rows that no page leads to."""
        return self.count == MAX_LISTED


class CountryFilter(admin.SimpleListFilter):
    """Filters by the tenant's country, which is chosen in a select: there are many."""

    title = "country"
    parameter_name = "country"
    template = "admin/select_filter.html"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return country_choices()

    @override
    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Keep the list's other parameters for the form."""
        self.others = [
            (name, value)
            for name, value in changelist.params.items()
            if name not in {self.parameter_name, "p"}
        ]
        for code, name in self.lookup_choices:
            yield {"value": code, "display": name, "selected": self.value() == str(code)}

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep rows of tenants in the chosen country, or the tenants themselves."""
        if not self.value():
            return queryset
        tenants = Tenant.objects.filter(country=self.value())
        column = "pk__in" if queryset.model is Tenant else "tenant__in"
        return queryset.filter(**{column: tenants.values("pk")})


def word_filter(
    title: str, parameter: str, label: str, word: Callable[[Any], QuerySet[Any]]
) -> type[admin.SimpleListFilter]:
    """Return a filter that is on or off; `word` is a method of the QuerySet."""

    class WordFilter(admin.SimpleListFilter):
        """Filters by one method of the QuerySet."""

        @override
        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            return [("yes", label)]

        @override
        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return word(queryset) if self.value() == "yes" else queryset

    WordFilter.title, WordFilter.parameter_name = title, parameter
    return WordFilter


def choice_filter(title: str, column: str, choices: type[Choices]) -> type[admin.SimpleListFilter]:
    """Return a filter of a column by its choices, without a query for those that occur."""

    class ChoiceFilter(admin.SimpleListFilter):
        """Filters by one column."""

        @override
        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            return choices.choices

        @override
        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{column: self.value()}) if self.value() else queryset

    ChoiceFilter.title, ChoiceFilter.parameter_name = title, column
    return ChoiceFilter


def has_strange_filter(changelist: ChangeList) -> bool:
    """Return whether a filter has a value that is none of its choices."""
    return any(_has_unknown_value(spec) for spec in changelist.filter_specs)


def _has_unknown_value(spec: Any) -> bool:
    if isinstance(spec, admin.SimpleListFilter):
        return spec.value() not in {None, "", *(str(value) for value, _ in spec.lookup_choices)}
    if isinstance(spec, admin.ChoicesFieldListFilter):
        known = {str(value) for value, _ in spec.field.flatchoices}
        return not {str(value) for value in spec.lookup_val or []} <= known
    return False


def exported(changelist: ChangeList) -> tuple[list[str], Iterator[list[Any]]]:
    """Return the heads and, while they are read, the rows of the whole filtered list."""
    page, model = changelist.model_admin, changelist.model
    names = [name for name in changelist.list_display if name != "action_checkbox"]
    heads = [str(label_for_field(name, model, page)) for name in names]
    rows = changelist.queryset.iterator(chunk_size=ROWS_PER_READ)
    return heads, ([_cell(name, row, page) for name in names] for row in rows)


def _cell(name: Any, row: Any, page: Any) -> Any:
    field, _, value = lookup_field(name, row, page)
    if field is not None and field.choices:
        return row._get_FIELD_display(field)
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)
