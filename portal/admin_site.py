"""The operators' site: plain Django admin behind the portal's own sign-in, and its house rules.

No business row is deleted here, secrets are on no page, and whatever is changed is recorded in
the portal's own log, where the customer sees it; Django's log of the admin stays empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from allauth.account.decorators import secure_admin_login
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from portal import activity, searching
from portal.access import actor_of
from portal.activity import Action, Subject
from portal.admin_lists import CappedPaginator, exported
from portal.exports import csv_answer
from portal.forms import reason_field
from portal.models import VENDOR, LogEntry
from portal.operators import APPS, has_second_factor, is_two_factor_session, proof_page
from portal.refusal import Refused

LOG = "admin:portal_logentry_changelist"


class OperatorSite(admin.AdminSite):
    """Django admin for staff; people sign in as everywhere in the portal."""

    site_header = "License Portal operators"
    site_title = "License Portal"
    index_title = "Operators"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        # It deletes in bulk and outside of a transaction, so without a row in the log.
        self.disable_action("delete_selected")

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin] | None = None,
        **options: Any,
    ) -> None:
        """Register models of the portal only.

        Those of other packages (groups, email addresses, second factors, sessions) would let an
        operator take over an account, and their changes would not be recorded.
        """
        models = (
            [model_or_iterable] if isinstance(model_or_iterable, type) else [*model_or_iterable]
        )
        ours = [model for model in models if model._meta.app_label in APPS]
        super().register(ours, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether this is staff in a session that was proven with a second factor."""
        return super().has_permission(request) and is_two_factor_session(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the portal's sign-in, and staff without a second factor to where they get one."""
        return secure_admin_login(self._second_factor)(request)

    def _second_factor(self, request: HttpRequest) -> HttpResponse:
        if self.has_permission(request):
            return redirect("admin:index")
        if has_second_factor(request.user):  # type: ignore[arg-type]
            messages.info(request, "Operators prove themselves with their second factor.")
            target = request.GET.get("next", "")
            if not url_has_allowed_host_and_scheme(target, {request.get_host()}):
                target = reverse("admin:index")
            return redirect(reverse(proof_page(request.user), query={"next": target}))  # type: ignore[arg-type]
        messages.warning(
            request,
            "Operators need a second factor. Set up an authenticator app or a passkey here, then "
            "open the admin again.",
        )
        return redirect("mfa_index")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the profile: there a change is limited and ends other sessions."""
        return redirect("account_change_password")


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

    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count of all rows for each choice of a filter

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: business rows stay."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows without their secrets."""
        return super().get_queryset(request).defer(*self.secrets)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse filters on secrets: `?password__startswith=` would tell them bit by bit."""
        if any(part in self.secrets for part in lookup.split("__")):
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find identifiers, key ids and email addresses by what they are, the rest as text."""
        conditions = searching.conditions(
            self.model,
            search_term.strip(),
            self.identifiers,
            self.key_ids,
            self.emails,
            self.search_fields,
        )
        if conditions is not None:
            return queryset.filter(conditions), False
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[Any]:
        """Add the address of the list's export."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        route = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [route, *super().get_urls()]

    def ways(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return (label, address) of what else the list leads to."""
        return []

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the list, with a link to the export of what it shows."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
        context = {
            "export": reverse(name, query=request.GET),
            "ways": self.ways(request),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Return the whole filtered list as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            heads, rows = exported(self.get_changelist_instance(request))
        except IncorrectLookupParameters:
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return csv_answer(f"{self.opts.model_name}.csv", heads, rows)

    def tenant_id_of(self, obj: Any) -> uuid.UUID:
        """Return in which tenant's log the row's changes stand; VENDOR for the vendor's own."""
        return getattr(obj, "tenant_id", VENDOR)

    def log_filter(self, obj: Any) -> dict[str, Any]:
        """Return the parameters of the log's list under which the row's history stands."""
        return {"tenant_id__exact": self.tenant_id_of(obj), "details__id": str(obj.pk)}

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the portal's log, which has everything that happened, not just in the admin."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.opts, object_id
            )
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        return redirect(reverse(LOG, query=self.log_filter(obj)))


class RecordForm(forms.ModelForm):
    """A form that asks why: the customer reads the reason in the log.

    `refusal` is what a flow said to the same values a moment ago; it lands next to its field.
    """

    refusal: Refused | None = None

    reason = reason_field()

    def clean(self) -> dict[str, Any]:
        """Check the form as a whole, and repeat the refusal."""
        cleaned = super().clean() or self.cleaned_data
        if self.refusal is not None:
            self.add_error(self.refusal.field, self.refusal.sentence)
        return cleaned


class ReadOnlyAdmin(PlainAdmin):
    """For rows that flows make and change: operators look at them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: a flow adds these."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a flow changes these."""
        return False


class RecordedAdmin(PlainAdmin):
    """For rows that operators change: every change is one row of the log, in its transaction.

    Django calls the `log_*` hooks in the transaction of the change; here they write into the
    portal's log. Saving a form in which nothing changed is no change and leaves no row.
    """

    form = RecordForm
    changed_action = Action.RECORD_CHANGED

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields and, where something can be saved, the reason for it."""
        fieldsets = super().get_fieldsets(request, obj)
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return [*fieldsets, (None, {"fields": ("reason",)})] if may else fieldsets

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Return the page; what a flow refuses, its transaction undone, is told in the form."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refused as refusal:
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form, with what a flow refused."""
        form = super().get_form(request, obj, change, **kwargs)
        form.refusal = getattr(request, "refusal", None)  # type: ignore[attr-defined]
        return form

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the row; where it may be changed, locked and as it is now."""
        obj = super().get_object(request, object_id, from_field)
        if obj is None or request.method != "POST":
            return obj
        return self.get_queryset(request).select_for_update().filter(pk=obj.pk).first()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save; of an existing row only what was changed, so that flows' columns stay."""
        if not change:
            obj.save(force_insert=True)
            return
        names = [name for name in form.changed_data if name in _concrete(obj)]
        form.before = _told(self.model._base_manager.get(pk=obj.pk), names)
        obj.save(update_fields=names)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Return what changed, before and after; the `log_*` hooks get it as their message."""
        obj, reason = form.instance, form.cleaned_data["reason"]
        if add:
            return {"reason": reason, "before": {}, "after": _told(obj, form.cleaned_data)}
        after = _told(obj, form.before)
        changed = [name for name, value in form.before.items() if after[name] != value]
        return {
            "reason": reason,
            "before": {name: form.before[name] for name in changed},
            "after": {name: after[name] for name in changed},
        }

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record that the row was added."""
        return self._record(request, obj, Action.RECORD_ADDED, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record what was changed, if anything was."""
        if not message["after"]:
            return None
        return self._record(request, obj, self.changed_action, message)

    def subject_of(self, obj: Any) -> Subject | None:
        """Return the subscription that the row is, if it is one."""
        return None

    def _record(
        self, request: HttpRequest, obj: Any, action: Action, message: dict[str, Any]
    ) -> LogEntry:
        reason = message.pop("reason")
        return activity.record(
            actor=actor_of(request),
            action=action,
            tenant_id=self.tenant_id_of(obj),
            subscription=self.subject_of(obj),
            reason=reason,
            details={
                "record": str(self.opts.verbose_name),
                "id": str(obj.pk),
                "name": str(obj),
                **message,
            },
        )


def links(*pairs: tuple[str, str]) -> SafeString:
    """Return links (label, address) in one line."""
    return format_html_join(" · ", '<a href="{1}">{0}</a>', pairs)


def listing(model: str, **parameters: Any) -> str:
    """Return the address of a list (`app_model`) under these filters."""
    return reverse(f"admin:{model}_changelist", query=parameters)


def code(text: str) -> SafeString:
    """Return the text as code."""
    return format_html("<code>{}</code>", text)


def _concrete(obj: Model) -> dict[str, Any]:
    return {field.name: field for field in obj._meta.concrete_fields}


def _told(obj: Model, names: Iterable[str]) -> dict[str, Any]:
    """Return these columns of the row as JSON that people read: names in place of numbers."""
    fields = _concrete(obj)
    return {name: _value(obj, fields[name]) for name in names if name in fields}


def _value(obj: Model, field: Any) -> Any:
    value = getattr(obj, field.name)
    if isinstance(field, ForeignKey) and value is not None:
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return value
