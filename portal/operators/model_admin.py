"""What the operators' lists and pages have in common.

No business row is deleted here, secrets are on no page, and whatever is changed is recorded in
the portal's own log, where the customer sees it; Django's log of the admin stays empty.
"""

from __future__ import annotations

import uuid
from typing import Any, override

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import DataError, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from portal.accounts.proof import kept_post, recent_proof
from portal.accounts.requests import actor_of
from portal.activity.models import VENDOR
from portal.core import names
from portal.core.actors import Actor
from portal.core.numbers import is_key
from portal.core.refusal import Refused
from portal.operators import search
from portal.operators.forms import SplitMoment, SplitMomentField, reason_field
from portal.operators.lists import (
    LOOKUPS,
    CappedPaginator,
    Listing,
    chosen,
    column_of,
    exported,
    is_understood,
)
from portal.operators.values import facts
from portal.tenants.models import Tenant
from portal.web.csv_files import csv_answer

LOG = "admin:portal_logentry_changelist"
BAD_FILTER = "A filter in this address is not understood. Choose it on the list and export again."


class PlainAdmin(admin.ModelAdmin):
    """What every list and page has in common: no deleting, no secrets, speed, one history."""

    identifiers: tuple[str, ...] = ()
    """Columns that a search for a whole identifier (a UUID) looks at, by their indexes."""
    key_ids: tuple[str, ...] = ()
    """Columns that a search for the key id of a signing key looks at."""
    emails: tuple[str, ...] = ()
    """Columns that a search for an email address, or the domain of one, looks at."""
    secrets: tuple[str, ...] = ()
    """Columns that are neither read from the database nor allowed as a filter in an address."""
    other_lookups: tuple[str, ...] = ()
    """What an address may ask beside LOOKUPS: parts of JSON columns."""

    below: dict[str, str] = {}
    """The second line of a column: what is shown, and exported, below what."""
    badges: dict[str, dict[Any, str]] = {}
    """Columns that are shown as badges, with the tone of each value; others are muted."""
    told_as: dict[str, str] = {}
    """What the list calls a column that an address filters, where not by its label."""
    codes: tuple[str, ...] = ()
    """Columns of text that are identifiers."""
    clocks: tuple[str, ...] = ()
    """Columns of the list that show the time beside the day."""
    folded: tuple[str, ...] = ()
    """Columns that the page of a row shows folded: for those who look into the matter itself."""
    days = ""
    """The moment by whose day (UTC) the rows of the list stand under headings, if any."""
    also_exported: tuple[str, ...] = ()
    """What the export has besides the columns of the list."""
    has_history = True
    """Whether the log tells of a row."""
    intro = ""
    """A sentence on what the rows of the list are."""

    list_per_page = 25
    paginator = CappedPaginator
    show_full_result_count = False
    view_on_site = False
    show_facets = admin.ShowFacets.NEVER  # a count of all rows for each choice of a filter
    formfield_overrides = {
        models.DateTimeField: {"form_class": SplitMomentField, "widget": SplitMoment}
    }

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*self.secrets)

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse filters on secrets, and what no filter or link of ours asks.

        `?password__startswith=` would reveal a secret step by step, `?name__regex=` holds the
        database for as long as it likes.
        """
        if any(part in self.secrets for part in lookup.split("__")):
            return False
        found = column_of(self.model, lookup)
        if found and found[1] not in LOOKUPS and lookup not in self.other_lookups:
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find identifiers, key ids and email addresses by what they are, the rest as text."""
        if len(search_term) > search.MAX_CHARACTERS:
            return queryset.none(), False
        search_term = names.normalised(search_term)
        conditions = search.conditions(
            self.model,
            search_term,
            self.identifiers,
            self.key_ids,
            self.emails,
            self.search_fields,
        )
        if conditions is not None:
            return queryset.filter(conditions), False
        return super().get_search_results(request, queryset, search_term)

    @override
    def get_search_fields(self, request: HttpRequest) -> list[str]:
        fields = super().get_search_fields(request)
        return [field if "__starts" in field else f"{field}__shows" for field in fields]

    @override
    def get_urls(self) -> list[Any]:
        """Add the address of the list's export."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        route = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [route, *super().get_urls()]

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Listing]:
        return Listing

    @override
    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Add what is only read, and the fields that can be changed."""
        lines = [field for fieldset in context["adminform"] for line in fieldset for field in line]
        fixed = [line.field["name"] for line in lines if line.is_readonly]
        row = context.get("original")
        shown = facts(fixed, row, self) if row else []
        context["facts"] = [fact for fact in shown if fact[0] not in self.folded]
        context["folded"] = [fact for fact in shown if fact[0] in self.folded]
        context["fields"] = [line.field for line in lines if not line.is_readonly]
        owner = getattr(row, "tenant", "")
        context["owner"] = owner
        context["customer"] = next((r for r in (row, owner) if isinstance(r, Tenant)), None)
        context["heading"] = self.title_of(row) if row else context["title"]
        context["back"] = f"{self.list_address()}{self._kept_filters(request)}"
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_history"
        context["history"] = reverse(name, args=[quote(row.pk)]) if row and self.has_history else ""
        return super().render_change_form(request, context, *args, **kwargs)

    def _kept_filters(self, request: HttpRequest) -> str:
        """Return the filters of the list from which somebody came, as a query string."""
        kept = request.GET.get("_changelist_filters", "")
        return f"?{kept}" if kept else ""

    def other_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return (label, address) of what else the list leads to."""
        return []

    def page(
        self,
        request: HttpRequest,
        template: str,
        context: dict[str, Any],
        *,
        form: forms.BaseForm | None = None,
    ) -> TemplateResponse:
        """Return a page of ours in the admin's frame; a form that was not accepted has 422."""
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list": self.list_address(),
            "form": form,
            **context,
        }
        refused = request.method == "POST" and form is not None and bool(form.errors)
        return TemplateResponse(request, template, whole, status=422 if refused else 200)

    def list_address(self) -> str:
        """Return the address of the list."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    @override
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a link to the export of what the list shows."""
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if not all(is_key(self.model, text) for text in ticked):
            return render(request, "400.html", status=400)
        request.GET = chosen(request.GET)
        if request.method == "POST" and "index" in request.POST and not ticked:
            sentence = f"Nothing was done. Tick the {self.opts.verbose_name_plural} first."
            self.message_user(request, sentence, messages.WARNING)
            return redirect(request.get_full_path())
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
        context = {
            "title": capfirst(self.opts.verbose_name_plural),
            "export": reverse(name, query=request.GET),
            "other_links": self.other_links(request),
            "intro": self.intro,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Return the whole filtered list as CSV; 400 for a filter that is not understood."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.GET = chosen(request.GET)
        changelist = self._understood_list(request)
        if changelist is None:
            return render(request, "400.html", {"sentence": BAD_FILTER}, status=400)
        heads, rows = exported(changelist)
        return csv_answer(f"{self.opts.model_name}.csv", heads, rows)

    @override
    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:
            # A number or a date that the database cannot hold; Django looks at types alone.
            raise IncorrectLookupParameters from error

    def _understood_list(self, request: HttpRequest) -> Any:
        """Return the list under the filters of the address, None where one is not understood."""
        try:
            changelist = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return None
        return changelist if is_understood(changelist, request.GET) else None

    def title_of(self, row: Any) -> str:
        """Return the heading of a row's page."""
        return str(row)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        """Return to the list, and say what was not found."""
        sentence = f"There is no {opts.verbose_name} {object_id[:80]}. Look for it in the list."
        self.message_user(request, sentence, messages.WARNING)
        return redirect(self.list_address())

    def tenant_id_of(self, obj: Any) -> uuid.UUID:
        """Return the tenant whose log records the row's changes; VENDOR for the vendor's own."""
        return getattr(obj, "tenant_id", VENDOR)

    def log_filter(self, obj: Any) -> dict[str, Any]:
        """Return the parameters of the log's list that show the row's history."""
        return {"tenant_id__exact": self.tenant_id_of(obj), "details__id": str(obj.pk)}

    @override
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the portal's log, which holds everything, not just changes in the admin."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        return redirect(reverse(LOG, query=self.log_filter(obj)))


class RecordForm(forms.ModelForm):
    """A form that asks why: the customer reads the reason in the log.

    `refusal` is a flow's answer to the same values a moment ago; it is shown next to its field.
    """

    refusal: Refused | None = None
    kept: QueryDict | None = None
    """What was typed before a recent proof was asked for; it is filled in again."""

    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.kept is not None and not self.is_bound:
            for name, field in self.fields.items():
                typed = field.widget.value_from_datadict(self.kept, {}, self.add_prefix(name))
                self.initial[name] = field.bound_data(typed, None)

    @override
    def clean(self) -> dict[str, Any]:
        """Add the refusal of the flow."""
        cleaned = super().clean() or self.cleaned_data
        if self.refusal is not None:
            self.add_error(self.refusal.field, self.refusal.sentence)
        return cleaned


class ReadOnlyAdmin(PlainAdmin):
    """For rows that flows make and change: operators look at them."""

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EditedAdmin(PlainAdmin):
    """For rows that operators add or edit: a flow does it, under its lock, and records why."""

    form = RecordForm

    def add(self, row: Any, *, actor: Actor, reason: str, **extra: Any) -> object:
        """Store a new row by its flow; `extra` are the fields of the form that are not its own."""
        raise PermissionDenied

    def edit(self, row: Any, changes: dict[str, Any], *, actor: Actor, reason: str) -> object:
        """Change these fields of the row by its flow."""
        raise NotImplementedError

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Add the reason where something can be saved."""
        fieldsets = super().get_fieldsets(request, obj)
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return [*fieldsets, (None, {"fields": ("reason",)})] if may else fieldsets

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show a flow's refusal in the form, after its transaction was rolled back.

        Saving needs a recent proof of identity; what was typed is kept until then.
        """
        if request.method == "POST":
            self._refuse_editing(request, object_id)
        arguments = object_id, form_url, extra_context
        return recent_proof(self._changeform)(request, *arguments)

    def _refuse_editing(self, request: HttpRequest, object_id: str | None) -> None:
        """Raise PermissionDenied for who may not add or change the row, before a proof is asked."""
        row = None if object_id is None else self.get_object(request, unquote(object_id))
        if object_id is None and not self.has_add_permission(request):
            raise PermissionDenied
        if row is not None and not self.has_change_permission(request, row):
            raise PermissionDenied

    def _changeform(
        self,
        request: HttpRequest,
        object_id: str | None,
        form_url: str,
        extra_context: dict[str, Any] | None,
    ) -> Any:
        request.kept = kept_post(request)  # type: ignore[attr-defined]
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refused as refusal:
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    @override
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Add what a flow refused and what was typed before a proof."""
        form = super().get_form(request, obj, change, **kwargs)
        form.refusal = getattr(request, "refusal", None)  # type: ignore[attr-defined]
        form.kept = getattr(request, "kept", None)  # type: ignore[attr-defined]
        return form

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Call the flow, with only what the operator changed."""
        values = dict(form.cleaned_data)
        reason, actor = values.pop("reason"), actor_of(request)
        own = {field.name for field in obj._meta.concrete_fields}
        if change:
            changes = {name: values[name] for name in form.changed_data if name in own}
            self.edit(type(obj)._base_manager.get(pk=obj.pk), changes, actor=actor, reason=reason)
        else:
            extra = {name: value for name, value in values.items() if name not in own}
            self.add(obj, actor=actor, reason=reason, **extra)

    @override
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing: the flow has recorded it."""

    @override
    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing: the flow has recorded it."""


def links(*pairs: tuple[str, str]) -> SafeString:
    """Return links (label, address) in one line."""
    return format_html_join(" · ", '<a href="{1}">{0}</a>', pairs)


def listing(model: str, **parameters: Any) -> str:
    """Return the address of a list (`app_model`) under these filters."""
    return reverse(f"admin:{model}_changelist", query=parameters)


def code(text: str) -> SafeString:
    """Return the text as code."""
    return format_html("<code>{}</code>", text)
