"""Lists of the admin: pages without full counts, filters, and their export."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, override

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.paginator import Paginator
from django.db.models import Choices, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, QueryDict

from portal.core.countries import country_choices
from portal.tenants.models import Tenant

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


LOOKUPS = {"exact", "in", "isnull", "isempty", "gt", "gte", "lt", "lte"}
"""What an address may ask of a column: what filters and links of ours use."""

BOOLEANS = {"0", "1", "false", "true"}
ORDER = re.compile(r"-?[0-9]{1,3}(\.-?[0-9]{1,3})*|")
PAGE = re.compile(r"[1-9][0-9]{0,8}")


def column_of(model: Any, lookup: str) -> tuple[Any, str] | None:
    """Return the column that a look-up of an address is about, and what it asks of it.

    None for what names no column, such as the parameter of a filter of our own.
    """
    column, parts = None, lookup.split(LOOKUP_SEP)
    while parts and model is not None:
        name = model._meta.pk.name if parts[0] == "pk" else parts[0]
        try:
            column = model._meta.get_field(name)
        except FieldDoesNotExist:
            break
        parts, model = parts[1:], column.related_model
    return None if column is None else (column, LOOKUP_SEP.join(parts) or "exact")


def is_understood(changelist: ChangeList, parameters: QueryDict) -> bool:
    """Return whether each parameter of a list's address has a value that there can be."""
    filters = changelist.filter_specs
    own = {spec.parameter_name for spec in filters if isinstance(spec, admin.SimpleListFilter)}
    return (
        all(_is_choice(spec) for spec in filters if isinstance(spec, admin.SimpleListFilter))
        and all(
            _is_possible(changelist.model, lookup, str(value))
            for lookup, values in changelist.get_filters_params().items()
            if lookup not in own
            for value in values
        )
        and bool(PAGE.fullmatch(parameters.get(PAGE_VAR, "1")))
        and _is_order(parameters.get(ORDER_VAR, ""), len(changelist.list_display))
        and changelist.search_form_class(parameters).is_valid()
    )


def _is_choice(spec: admin.SimpleListFilter) -> bool:
    return spec.value() in {None, "", *(str(value) for value, _ in spec.lookup_choices)}


def _is_possible(model: Any, lookup: str, text: str) -> bool:
    found = column_of(model, lookup)
    if found is None:
        return True
    column, kind = found
    if kind in {"isnull", "isempty"}:
        return text.lower() in BOOLEANS
    if kind not in LOOKUPS:  # a part of a JSON column
        return True
    return all(_may_be(column, part) for part in (text.split(",") if kind == "in" else [text]))


def _may_be(column: Any, text: str) -> bool:
    """Return whether the text may stand in the column: a choice, an existing key, in its range."""
    try:
        value = column.clean(text, None)
    except ValidationError:
        return False
    return not column.primary_key or column.model._base_manager.filter(pk=value).exists()


def _is_order(text: str, columns: int) -> bool:
    numbers = text.replace("-", "").split(".") if text else []
    return bool(ORDER.fullmatch(text)) and all(int(number) < columns for number in numbers)


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
