"""Operator actions: a confirmation page, a reason, a flow, and a result for each row.

An action is offered on the list (for the rows that are ticked), on the page of one row, or for
something new. Nothing happens before the confirmation page, which says what will happen to whom,
is submitted by somebody with a recent proof of identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, override

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import path, reverse

from portal.accounts.proof import kept_post, recent_proof
from portal.accounts.requests import actor_of
from portal.core.numbers import is_key
from portal.core.refusal import Refused
from portal.operators.forms import ReasonForm
from portal.operators.model_admin import PlainAdmin
from portal.operators.values import page_of
from portal.web.forms import posted, refusals_on

MAX_ROWS = 200
"""Most rows of one action: nobody would read more of them before confirming it."""


@dataclass(frozen=True, kw_only=True)
class OperatorAction:
    """One thing that operators may do.

    `flow(row, actor=..., reason=..., **fields of the form)` does it; `in_session` flows get
    `request=...` too. `consequences` are sentences on what happens; `summarize(row)` says what of
    the row matters for the decision. `permission` names the `has_..._permission` of the admin
    class. `done` is the result of a row that went through: a sentence, or what makes it of the row
    as it is now and of what the flow returned. `next` names the actions that the result of one row
    offers. `why_not(row)` says in a word or two why a row that is not possible is none.

    Where `on_page` is set it has an address below each row; where `makes_new` is set, `flow` takes
    no row and returns the new one. All others are chosen from the list and take many rows at once.
    The page of a row offers those that are `is_possible` for it.
    """

    name: str
    label: str
    consequences: tuple[str, ...]
    flow: Callable[..., Any]
    summarize: Callable[[Any], str] = str
    form: type[ReasonForm] = ReasonForm
    permission: str = "change"
    is_dangerous: bool = False
    done: str | Callable[[Any, Any], str] = "Done"
    next: tuple[str, ...] = ()
    why_not: Callable[[Any], str] = lambda _: ""
    on_page: bool = False
    is_possible: Callable[[Any], bool] = lambda _: True
    makes_new: bool = False
    in_session: bool = False
    leads_to: str = ""
    """Name of the address to go to afterwards, in place of the result page."""

    def button(self, noun: str) -> str:
        """Return what the button says that does it: "Suspend subscription"."""
        return self.label if " " in self.label else f"{self.label} {noun}"

    @property
    def route(self) -> str:
        """Its part of an address."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """The result for one row."""

    row: Model
    address: str
    text: str
    refused: bool
    made: Any = None
    """What the flow returned."""


class ActionsAdmin(PlainAdmin):
    """Offers operator actions."""

    operator_actions: tuple[OperatorAction, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actions = [_as_action(action) for action in self._listed()]

    @override
    def get_urls(self) -> list[Any]:
        """Add the addresses of confirmation pages."""
        on_list = path(
            "do/<slug:name>/", self._guarded(self.list_action_view), name=self._name("do")
        )
        on_page = [
            path(
                f"{action.route}/" if action.makes_new else f"<path:object_id>/{action.route}/",
                self._guarded(partial(self.page_action_view, action=action)),
                name=self._name(action.name),
            )
            for action in self.operator_actions
            if action.on_page or action.makes_new
        ]
        return [on_list, *on_page, *super().get_urls()]

    @override
    def other_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Add links to the actions that make something new."""
        links = super().other_links(request)
        for action in self.operator_actions:
            if action.makes_new and self._may(request, action, []):
                links.append((f"{action.label}…", reverse(f"admin:{self._name(action.name)}")))
        return links

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Offer, on the page of a row, the actions that are possible."""
        row = self.get_object(request, unquote(object_id))
        offered = self._offered(request, row, self.operator_actions) if row else []
        context = {"offered": offered, "list": self.list_address(), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @override
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer the actions that take many rows."""
        offered = [action for action in self._listed() if self._may(request, action, [])]
        return super().changelist_view(request, {"offered": offered, **(extra_context or {})})

    def offer(
        self, request: HttpRequest, row: Any, actions: Iterable[OperatorAction] | None = None
    ) -> dict[str, Any]:
        """Return the possible actions on the row, as admin/row_actions.html takes them."""
        offered = self._offered(request, row, self.operator_actions if actions is None else actions)
        return {"actions": offered, "at": self.list_address(), "row": row}

    def _offered(
        self, request: HttpRequest, row: Any, actions: Iterable[OperatorAction]
    ) -> list[tuple[OperatorAction, str]]:
        """Return those of the actions that are possible for the row, with their addresses."""
        return [
            (action, self._page_address(action, row))
            for action in actions
            if not action.makes_new and action.is_possible(row)
            if self._may(request, action, [row])
        ]

    def _page_address(self, action: OperatorAction, row: Any) -> str:
        """Return the address of the action below the row; empty where the list has it."""
        return reverse(f"admin:{self._name(action.name)}", args=[row.pk]) if action.on_page else ""

    def list_action_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Run the action for every row of a confirmation page, each in its own transaction."""
        action = next((action for action in self._listed() if action.name == name), None)
        if action is None:
            raise Http404
        kept = kept_post(request)
        if request.method != "POST" and kept is None:
            return redirect(self.list_address())
        sent = (kept or request.POST).getlist("row")
        chosen = [text for text in sent if is_key(self.model, text)]
        queryset = self.get_queryset(request).filter(pk__in=chosen)
        rows = list(queryset[: MAX_ROWS + 1])
        form = self._form(request, action, rows[:MAX_ROWS], kept)
        if len(rows) > MAX_ROWS or not form.is_valid():
            return self.confirm(request, queryset, action, form)
        self._refuse_forbidden(request, action, form.rows)
        results = [self._result(request, action, row, form.cleaned_data) for row in form.rows]
        return self._result_page(request, action, results)

    def page_action_view(
        self, request: HttpRequest, *, action: OperatorAction, object_id: str | None = None
    ) -> HttpResponse:
        """Run the action for one row or a new one; show a refusal on the confirmation page."""
        rows = [] if object_id is None else [self._possible(request, action, object_id)]
        self._refuse_forbidden(request, action, rows)
        form = self._form(request, action, rows)
        if form.is_valid():
            with refusals_on(form):
                made = self._do(request, action, *rows, **form.cleaned_data)
                if action.leads_to:
                    return redirect(action.leads_to)
                row = made if action.makes_new else rows[0]
                return self._result_page(request, action, [self._done(action, row, made)])
        return self._confirmation_page(request, action, form, request.path)

    def confirm(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        action: OperatorAction,
        form: ReasonForm | None = None,
    ) -> HttpResponse:
        """Answer with the page that says what will happen to whom."""
        rows = list(queryset[: MAX_ROWS + 1])
        if len(rows) > MAX_ROWS:
            self.message_user(
                request, f"These are more than {MAX_ROWS} rows. Choose fewer.", messages.ERROR
            )
            return redirect(self.list_address())
        self._refuse_forbidden(request, action, rows)
        form = form or action.form(rows=rows)
        address = reverse(f"admin:{self._name('do')}", args=[action.name])
        return self._confirmation_page(request, action, form, address)

    def _listed(self) -> list[OperatorAction]:
        return [a for a in self.operator_actions if not (a.on_page or a.makes_new)]

    def _form(
        self,
        request: HttpRequest,
        action: OperatorAction,
        rows: list[Any],
        kept: QueryDict | None = None,
    ) -> ReasonForm:
        """Return the form, bound when it was posted, else filled in with what was kept."""
        kept = kept or kept_post(request)
        fields = action.form.base_fields.items() if kept else ()
        initial = {name: field.widget.value_from_datadict(kept, {}, name) for name, field in fields}
        return action.form(posted(request), rows=rows, initial=initial)

    def _result(
        self, request: HttpRequest, action: OperatorAction, row: Any, chosen: dict[str, Any]
    ) -> RowResult:
        try:
            made = self._do(request, action, row, **chosen)
        except Refused as refusal:
            return RowResult(
                row=row, address=self._change_page(row), text=refusal.sentence, refused=True
            )
        return self._done(action, row, made)

    def _do(self, request: HttpRequest, action: OperatorAction, *rows: Any, **chosen: Any) -> Any:
        session = {"request": request} if action.in_session else {}
        with transaction.atomic():
            return action.flow(*rows, actor=actor_of(request), **session, **chosen)

    def _done(self, action: OperatorAction, row: Any, made: Any) -> RowResult:
        if not action.makes_new:
            row.refresh_from_db()
        text = action.done(row, made) if callable(action.done) else action.done
        address = self._change_page(row)
        return RowResult(row=row, address=address, text=text, refused=False, made=made)

    def _possible(self, request: HttpRequest, action: OperatorAction, object_id: str) -> Any:
        """Return the row. Raises Http404 if there is none, or the action is not possible."""
        row = self.get_object(request, unquote(object_id))
        if row is None or not action.is_possible(row):
            raise Http404
        return row

    def _may(self, request: HttpRequest, action: OperatorAction, rows: Iterable[Any]) -> bool:
        may = getattr(self, f"has_{action.permission}_permission")
        return may(request) and all(may(request, row) for row in rows)

    def _refuse_forbidden(
        self, request: HttpRequest, action: OperatorAction, rows: Iterable[Any]
    ) -> None:
        if not self._may(request, action, rows):
            raise PermissionDenied

    def _confirmation_page(
        self, request: HttpRequest, action: OperatorAction, form: ReasonForm, address: str
    ) -> HttpResponse:
        rows = [row for row in form.rows if action.is_possible(row)]
        others = [row for row in form.rows if row not in rows]
        one = form.rows[0] if len(form.rows) == 1 else None
        context = {
            "title": action.label,
            "subtitle": one or (self._counted(len(form.rows)) if form.rows else ""),
            "operator_action": action,
            "button": action.button(self._counted(len(rows)) if rows[1:] else self._noun),
            "rows": [(row, action.summarize(row)) for row in rows],
            "others": [(row, action.summarize(row)) for row in others],
            "why_not": ", ".join(sorted({action.why_not(row) for row in others} - {""})),
            "effects": self.effects(request, action, rows) if rows else [],
            "cancel": self._change_page(one) if one else self.list_address(),
            "address": address,
            "media": self.media + form.media,
        }
        return self.page(request, "admin/confirm.html", context, form=form)

    def _result_page(
        self, request: HttpRequest, action: OperatorAction, results: list[RowResult]
    ) -> HttpResponse:
        rows = [result.row for result in results]
        done = [result.row for result in results if not result.refused]
        refused = len(results) - len(done)
        one = results[0] if len(results) == 1 else None
        following = [each for each in self.operator_actions if one and each.name in action.next]
        context = {
            "title": action.label,
            "subtitle": "Result",
            "results": results,
            "refused": refused,
            "done": len(done),
            "one": one,
            "mails": self.mails(request, action, done) if done else [],
            "offer": self.offer(request, one.row, following) if one else None,
            "leads_on": [*self._made(request, one), *self.leads_on(rows)],
            "next": [(f"Open {one.row}", one.address)] if one else [],
        }
        return self.page(request, "admin/result.html", context)

    def effects(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        """Return (label, words) of what the action does to these rows in particular."""
        return self.mails(request, action, rows)

    def mails(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        """Return (label, words) of who gets a mail about the action on these rows."""
        return []

    def _made(self, request: HttpRequest, result: RowResult | None) -> list[tuple[str, str]]:
        """Return a link to the row of another list that the action made, if there is one."""
        made = result.made if result else None
        if not isinstance(made, Model) or isinstance(made, self.model):
            return []
        page = self.admin_site._registry.get(type(made))
        if page is None or not page.has_view_permission(request, made):
            return []
        return [(f"Open the {made._meta.verbose_name}", page_of(made))]

    def leads_on(self, rows: list[Any]) -> list[tuple[str, str]]:
        """Return (label, address) of where to go after an action on these rows."""
        return []

    @property
    def _noun(self) -> str:
        return str(self.opts.verbose_name)

    def _counted(self, number: int) -> str:
        return f"{number} {self.opts.verbose_name_plural}" if number != 1 else f"1 {self._noun}"

    def _change_page(self, row: Any) -> str:
        return reverse(f"admin:{self._name('change')}", args=[row.pk])

    def _guarded(self, view: Callable[..., HttpResponse]) -> Any:
        return self.admin_site.admin_view(recent_proof(view))

    def _name(self, part: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{part}"


def _as_action(action: OperatorAction) -> Callable[..., HttpResponse]:
    """Return the action as Django's admin lists them; it leads to the confirmation page."""

    def chosen(
        modeladmin: ActionsAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse:
        return modeladmin.confirm(request, queryset, action)

    chosen.__name__ = action.name
    return admin.action(
        permissions=[action.permission],
        description=action.label,
    )(chosen)
