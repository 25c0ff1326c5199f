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
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from portal import activity
from portal.access import actor_of
from portal.activity import Action, Subject
from portal.models import VENDOR, LogEntry

OURS = {"portal", "subscriptions", "licenses"}
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
        ours = [model for model in models if model._meta.app_label in OURS]
        super().register(ours, admin_class, **options)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the portal's sign-in; allauth's limits and second factor hold here too."""
        return secure_admin_login(super().login)(request, extra_context)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the profile: there a change is limited and ends other sessions."""
        return redirect("account_change_password")


class PlainAdmin(admin.ModelAdmin):
    """What every list and page has in common: no deleting, no secrets, speed, one history."""

    identifiers: tuple[str, ...] = ()
    """Columns that a search for a whole identifier (a UUID) looks at, by their indexes."""
    secrets: tuple[str, ...] = ()
    """Columns that are neither read from the database nor allowed as a filter in an address."""

    list_per_page = 50
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
        """Find a whole identifier by the index, anything else as text."""
        try:
            found = uuid.UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        matches = Q(pk__in=[])
        for column in self.identifiers:
            relation, _, theirs = column.partition("__")
            if not theirs:
                matches |= Q((column, found))
                continue
            # A condition on a joined table beside others would have the whole join read.
            related: Any = self.opts.get_field(relation).related_model
            matches |= Q((f"{relation}__in", related._base_manager.filter(Q((theirs, found)))))
        return queryset.filter(matches), False

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

    changed_action = Action.RECORD_CHANGED

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
        obj = form.instance
        if add:
            return {"before": {}, "after": _told(obj, form.cleaned_data)}
        after = _told(obj, form.before)
        changed = [name for name, value in form.before.items() if after[name] != value]
        return {
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

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Record that the rows will be removed."""
        for obj in queryset:
            shown = set(flatten_fieldsets(self.get_fieldsets(request, obj)))
            names = [n for n, field in _concrete(obj).items() if field.editable and n in shown]
            message = {"before": _told(obj, names), "after": {}}
            self._record(request, obj, Action.RECORD_REMOVED, message)

    def subject_of(self, obj: Any) -> Subject | None:
        """Return the subscription that the row is, if it is one."""
        return None

    def _record(
        self, request: HttpRequest, obj: Any, action: Action, message: dict[str, Any]
    ) -> LogEntry:
        return activity.record(
            actor=actor_of(request),
            action=action,
            tenant_id=self.tenant_id_of(obj),
            subscription=self.subject_of(obj),
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
