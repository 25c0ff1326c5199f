"""Lists of the admin: pages without full counts, filters, and their export."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from html import escape
from itertools import groupby
from typing import Any, override

from django.contrib import admin
from django.contrib.admin.utils import lookup_field, quote
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.cache import cache
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.paginator import Paginator
from django.db.models import BooleanField, Choices, DateTimeField, IntegerField, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from portal.core.countries import country_choices
from portal.core.dates import day, moment
from portal.core.steps import read_in_steps
from portal.operators.values import NOTHING, label_of, reader, shown_label
from portal.tenants.models import Tenant

MAX_LISTED = 5_000
"""Rows that the pages of a list show; nobody reads further, and counting more would be slow."""

ROWS_PER_READ = 500
"""Rows of an export that are read at once, with what they name."""

COUNTRIES_SECONDS = 300
"""Seconds for which the countries that occur are remembered: to find them reads all tenants."""

CELL = '<td data-label="{}"{}><div>'
BELOW = '<span class="below" data-label="{}">'

EMPTY = {"isnull", "isempty"}
FROM = {"gt", "gte"}
UNTIL = {"lt", "lte"}

NOT_FILTERS = {PAGE_VAR, ORDER_VAR, SEARCH_VAR, "e"}


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head of a column: its label, that of the second line, and the address that sorts by it.

    `order` is "ascending" or "descending" while the list is sorted by the column, else empty.
    """

    label: str
    below: str
    address: str
    order: str


@dataclass(frozen=True, kw_only=True)
class Select:
    """A filter as a select: options are (value, label, whether it is chosen)."""

    name: str
    label: str
    options: list[tuple[str, str, bool]]
    headings: Mapping[str, str]
    """Under which heading a value stands; those of one heading stand together."""
    day: str | None
    """The chosen day of a filter that takes a day instead, "" without one."""

    def groups(self) -> Iterator[tuple[str, list[tuple[str, str, bool]]]]:
        """Yield the options under each heading, which is empty for those without one."""
        for heading, options in groupby(self.options, lambda each: self.headings.get(each[0], "")):
            yield heading, list(options)


class Listing(ChangeList):
    """Django's list of rows, with what our template shows of it.

    Every column has a second line where the admin class names one in `below`. What reads a value
    is looked up once for all rows, not for each cell.
    """

    model_admin: Any

    @property
    def names(self) -> list[str]:
        """The columns, without the boxes to tick."""
        return [str(name) for name in self.list_display if name != "action_checkbox"]

    def heads(self) -> Iterator[Head]:
        """Yield the head of every column; its address sorts by the column alone."""
        page, sorted_by = self.model_admin, self.get_ordering_field_columns()
        for place, name in enumerate(map(str, self.list_display)):
            if name == "action_checkbox":
                continue
            below = page.below.get(name)
            sortable = self.sortable_by is None or name in self.sortable_by
            can_sort = sortable and bool(self.get_ordering_field(name))
            order = sorted_by.get(place, "") if can_sort else ""
            number = f"-{place}" if order == "asc" else str(place)
            yield Head(
                label=shown_label(name, page),
                below=shown_label(below, page) if below else "",
                address=self.get_query_string({ORDER_VAR: number}) if can_sort else "",
                order=f"{order}ending" if order else "",
            )

    def rows(self) -> Iterator[tuple[str, Any, SafeString]]:
        """Yield each row of this page with its cells, and before the first of a day (UTC) the day.

        The heading is empty for the others, and where the admin class has no `days`.
        """
        by, before = self.model_admin.days, ""
        for row, cells in self._cells():
            heading = day(getattr(row, by).astimezone(UTC)) if by else ""
            yield "" if heading == before else heading, row, cells
            before = heading

    def _cells(self) -> Iterator[tuple[Any, SafeString]]:
        (_, first), *others = [self._column(name) for name in self.names]
        back = f"?{self.preserved_filters}" if self.preserved_filters else ""
        for row in self.result_list:
            value, below = first(row)
            # Relative: cheaper than `reverse` for each.
            address = escape(f"{quote(row.pk)}/change/{back}")
            cells = [f'<th scope="row"><div><a href="{address}">{value}</a>{below}</div></th>']
            for start, read in others:
                value, below = read(row)
                cells.append(f"{start}{value}{below}</div></td>")
            yield row, SafeString("".join(cells))

    def _column(self, name: str) -> tuple[SafeString, Callable[[Any], tuple[str, str]]]:
        """Return how cells of the column begin, and what makes their two lines from a row.

        All of it is HTML; labels are escaped once for all rows.
        """
        page, below = self.model_admin, self.model_admin.below.get(name)
        kind = SafeString(' class="labelled"') if _needs_label(self.model, name) else ""
        start = format_html(CELL, shown_label(name, page), kind)
        linked = name != self.names[0]
        read = reader(name, page, clock=name in page.clocks, linked=linked)
        if below is None:
            return start, lambda row: (conditional_escape(read(row)), "")
        below_start = format_html(BELOW, shown_label(below, page))
        read_below = reader(below, page, clock=False)

        def lines(row: Any) -> tuple[str, str]:
            second = read_below(row)
            shown = "" if second is NOTHING else f"{below_start}{conditional_escape(second)}</span>"
            return conditional_escape(read(row)), shown

        return start, lines

    def selects(self) -> Iterator[Select]:
        """Yield the filters."""
        for spec in self.filter_specs:
            name = str(spec.expected_parameters()[0])
            yield Select(
                name=name,
                label=capfirst(str(spec.title)),
                options=list(self._options(spec)),
                headings=getattr(spec, "headings", {}),
                day=(spec.value() or "") if isinstance(spec, DayFilter) else None,
            )

    def _options(self, spec: Any) -> Iterator[tuple[str, str, bool]]:
        if isinstance(spec, admin.SimpleListFilter):
            yield "", getattr(spec, "empty_label", "All"), not spec.value()
            for value, label in spec.lookup_choices:
                yield str(value), str(label), spec.value() == str(value)
            return
        [name, *_] = spec.expected_parameters()
        for choice in spec.choices(self):
            chosen = QueryDict(choice["query_string"].removeprefix("?")).get(name, "")
            yield chosen, str(choice["display"]), choice["selected"]

    def others(self) -> list[tuple[str, str]]:
        """Return the parameters that no select has: links from other pages set them."""
        own = {parameter for spec in self.filter_specs for parameter in spec.expected_parameters()}
        return [(name, text) for name, text in self.params.items() if name not in own - {"p"}]

    def told(self) -> Iterator[tuple[str, str]]:
        """Yield what is asked of each column that no select filters, and the address without it.

        Both ends of a range are told together: "Expires 28 Nov 2026 to 5 Dec 2026".
        """
        by_column: dict[str, dict[str, str]] = {}
        for name, text in self.others():
            if name not in NOT_FILTERS:
                by_column.setdefault(name.partition(LOOKUP_SEP)[0], {})[name] = text
        for first, asked in by_column.items():
            yield self._sentence(first, asked), self.get_query_string(remove=[*asked])

    def _sentence(self, first: str, asked: Mapping[str, str]) -> str:
        found = [(column_of(self.model, name), text) for name, text in asked.items()]
        kinds = {each[1]: text for each, text in found if each}
        try:
            column = self.opts.get_field(first)
        except FieldDoesNotExist:
            return f"{capfirst(first)}: {', '.join(asked.values())}"
        label = self.model_admin.told_as.get(first) or shown_label(first, self.model_admin)
        if kinds.keys() & EMPTY:
            is_empty = next(iter(kinds.values())).lower() in {"1", "true"}
            return f"Not {label.lower()}" if is_empty else label
        if isinstance(column, DateTimeField):
            return f"{label} {_range(kinds)}"
        return f"{label}: {' or '.join(self._named(column, text) for text in kinds.values())}"

    def _named(self, column: Any, text: str) -> str:
        """Return the value of a column as the rows show it: its label, the name of a row."""
        values, labels = text.split(","), dict(column.flatchoices)
        if column.is_relation:
            # Of the rows that are read already: most filters are for a single one.
            row = next(iter(self.result_list), None) if len(values) == 1 else None
            rows = column.related_model._base_manager
            named = [getattr(row, column.name)] if row else rows.filter(pk__in=values)
            return " or ".join(map(str, named))
        return " or ".join(str(labels.get(value, value)) for value in values)

    @property
    def is_filtered(self) -> bool:
        """Whether the list shows a part of what there is."""
        return any(name not in NOT_FILTERS - {SEARCH_VAR} for name in self.params)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.result_count // self.list_per_page))

    @property
    def previous_address(self) -> str:
        """The address of the page before this one; empty on the first."""
        return self.get_query_string({PAGE_VAR: self.page_num - 1}) if self.page_num > 1 else ""

    @property
    def next_address(self) -> str:
        """The address of the page after this one; empty on the last."""
        more = self.page_num < self.pages
        return self.get_query_string({PAGE_VAR: self.page_num + 1}) if more else ""


def _range(kinds: Mapping[str, str]) -> str:
    """Return the moments between which a column is asked to be, in words."""
    at = {kind: datetime.fromisoformat(text) for kind, text in kinds.items()}
    start = next((at[kind] for kind in FROM if kind in at), None)
    end = next((at[kind] for kind in UNTIL if kind in at), None)
    if start and end:
        return f"{day(start)} to {day(end)}"
    if start:
        return f"{'since' if start < timezone.now() else 'after'} {moment(start, UTC)}"
    return f"until {moment(end, UTC)}" if end else f"on {moment(next(iter(at.values())), UTC)}"


def _needs_label(model: Any, name: str) -> bool:
    """Return whether a value of the column says nothing without its label: a date, a number."""
    try:
        column = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return isinstance(column, (DateTimeField, IntegerField, BooleanField))


def chosen(parameters: QueryDict) -> Any:
    """Return the parameters of an address without empty ones: "All" of a select means no filter."""
    if "" not in parameters.values():
        return parameters
    kept = parameters.copy()
    for name, values in parameters.lists():
        if not any(values):
            del kept[name]
    return kept


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
    """Filters by the tenant's country; those that occur are offered."""

    title = "country"
    parameter_name = "country"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        occurring = cache.get_or_set("countries-of-tenants", _countries, COUNTRIES_SECONDS)
        wanted = {*(occurring or ()), request.GET.get(self.parameter_name, "")}
        return [(code, name) for code, name in country_choices() if code in wanted]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep rows of tenants in the chosen country, or the tenants themselves."""
        if not self.value():
            return queryset
        tenants = Tenant.objects.filter(country=self.value())
        column = "pk__in" if queryset.model is Tenant else "tenant__in"
        return queryset.filter(**{column: tenants.values("pk")})


def _countries() -> list[str]:
    return [*Tenant.objects.order_by().values_list("country", flat=True).distinct()]


class DayFilter(admin.SimpleListFilter):
    """Filters a moment by its day (UTC), which is typed or chosen in a calendar."""

    column = ""
    is_day = True

    @classmethod
    def of(cls, column: str, parameter: str, title: str) -> type[DayFilter]:
        """Return the filter of one end of a range: `parameter` is "since" or "until"."""
        own = {"column": column, "parameter_name": parameter, "title": title}
        return type("DayFilter", (cls,), own)

    @override
    def has_output(self) -> bool:
        return True

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return ()

    @property
    def day(self) -> datetime | None:
        """When the chosen day begins; None without one, and for what is none."""
        try:
            return datetime.strptime(self.value() or "", "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            return None

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep rows from the beginning of the day, or until its end."""
        if self.day is None:
            return queryset
        if self.parameter_name == "since":
            return queryset.filter(**{f"{self.column}__gte": self.day})
        return queryset.filter(**{f"{self.column}__lt": self.day + timedelta(days=1)})


def empty_filter(title: str, empty: str, filled: str) -> type[admin.EmptyFieldListFilter]:
    """Return a filter by whether a column is empty, with these words for it."""

    class EmptyFilter(admin.EmptyFieldListFilter):
        """Filters by one column."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.title = title

        @override
        def choices(self, changelist: ChangeList) -> Iterator[Any]:
            words = ("All", empty, filled)
            for choice, label in zip(super().choices(changelist), words, strict=True):
                yield {**choice, "display": label}

    return EmptyFilter


def words_filter(
    title: str, parameter: str, words: Mapping[str, tuple[str, Callable[[Any], QuerySet[Any]]]]
) -> type[admin.SimpleListFilter]:
    """Return a filter by words of the QuerySet: for each value its label and a method."""

    class WordsFilter(admin.SimpleListFilter):
        """Filters by one method of the QuerySet."""

        @override
        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            return [(value, label) for value, (label, _) in words.items()]

        @override
        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            chosen = words.get(self.value() or "")
            return chosen[1](queryset) if chosen else queryset

    WordsFilter.title, WordsFilter.parameter_name = title, parameter
    return WordsFilter


def choice_filter(
    title: str,
    column: str,
    choices: type[Choices],
    headings: Mapping[str, str] | None = None,
    several: Mapping[str, tuple[str, Sequence[str]]] | None = None,
) -> type[admin.SimpleListFilter]:
    """Return a filter of a column by its choices, without a query for those that occur.

    `headings` says under which heading each value stands, and in which order. `several` are words
    that stand for several values: for each word its label and the values.
    """
    groups = several or {}
    order = list(headings or {})
    labels = dict(choices.choices)

    class ChoiceFilter(admin.SimpleListFilter):
        """Filters by one column."""

        @override
        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            words = [(word, label) for word, (label, _) in groups.items()]
            return [*words, *((value, labels[value]) for value in order or labels)]

        @override
        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value() or ""
            if value in groups:
                return queryset.filter(**{f"{column}__in": groups[value][1]})
            return queryset.filter(**{column: value}) if value else queryset

    ChoiceFilter.title, ChoiceFilter.parameter_name = title, column
    ChoiceFilter.headings = headings or {}  # type: ignore[attr-defined]
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
    if isinstance(spec, DayFilter):
        return not spec.value() or spec.day is not None
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


def exported(changelist: Listing) -> tuple[list[str], Iterator[list[Any]]]:
    """Return the heads and, while they are read, the rows of the whole filtered list."""
    page: Any = changelist.model_admin
    names = [
        name
        for shown in changelist.names
        for name in (shown, page.below.get(shown))
        if name is not None
    ]
    names += page.also_exported
    heads = [label_of(name, page).lower() for name in names]
    rows = read_in_steps(changelist.queryset, ROWS_PER_READ)
    return heads, ([_cell(name, row, page) for name in names] for row in rows)


def _cell(name: Any, row: Any, page: Any) -> Any:
    field, _, value = lookup_field(name, row, page)
    if field is not None and field.choices:
        return row._get_FIELD_display(field)
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)
