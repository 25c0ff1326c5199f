"""What operators see of plans."""

import json
from typing import Any, override

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from portal.core.actors import Actor
from portal.operators.forms import VENDORS_LOG, reason_field
from portal.operators.model_admin import EditedAdmin, RecordForm
from subscriptions import custom_claims
from subscriptions.catalogue import generations
from subscriptions.flows.plans import add_plan, edit_plan
from subscriptions.models import BillingPeriod, Edition, Plan


class ClaimsField(forms.JSONField):
    """JSON, shown with one claim a line; an empty field means no claims."""

    @override
    def prepare_value(self, value: Any) -> Any:
        """Show one claim a line; invalid input stays as it was typed."""
        if not value:
            return ""
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False, indent=2)
        return super().prepare_value(value)

    @override
    def clean(self, value: Any) -> Any:
        """No claims are {}."""
        claims = super().clean(value)
        return {} if claims is None else claims


class PlanForm(RecordForm):
    """A plan; the model's `clean` makes sure that the custom claims fit its URN."""

    reason = reason_field(VENDORS_LOG)
    custom_claims = ClaimsField(
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 24, "cols": 70, "spellcheck": "false", "class": "mono"}
        ),
        help_text="For custom plans only, whose URN ends in :plan:custom: a JSON object with all "
        "the claims that are listed below.",
    )


class OfferedFilter(admin.SimpleListFilter):
    """Shows the plans that are sold, unless others are asked for or something is searched."""

    title = "offered"
    parameter_name = "offered"
    empty_label = "Offered"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        self.is_search = bool(request.GET.get("q"))
        return [("no", "No longer offered"), ("all", "All")]

    @override
    def value(self) -> str | None:
        """Search all plans: an old one is looked up by its name."""
        given = super().value()
        return "all" if given is None and self.is_search else given

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the plans that are asked for."""
        if self.value() == "all":
            return queryset
        return queryset.filter(is_offered=self.value() != "no")


@admin.register(Plan)
class PlanAdmin(EditedAdmin):
    """Plans. Licenses keep the values that their plan had when they were generated."""

    form = PlanForm
    change_form_template = "admin/plan_form.html"
    fields = (
        "code",
        "name",
        "edition",
        "urn",
        "client_generations",
        "billing_period",
        "is_offered",
        "custom_claims",
    )
    list_display = ("name", "edition", "is_offered", "urn")
    below = {"name": "code", "edition": "billing_period", "urn": "client_generations"}
    badges = {"is_offered": {True: "good"}}
    codes = ("urn", "code")
    list_filter = (OfferedFilter, "edition", "billing_period")
    search_fields = ("name", "code", "urn")

    @override
    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Explain the claims of custom plans, and offer to start a new plan from a template."""
        is_filled = request.method == "POST" or "template" in request.GET
        if not (context.get("original") or is_filled):
            template = reverse("admin:subscriptions_plan_add", query={"template": "custom"})
            context["template"] = template
        context["claims"] = [
            (
                name,
                custom_claims.MEANINGS[name],
                custom_claims.requirement(name),
                json.dumps(custom_claims.TEMPLATE[name]),
            )
            for name in custom_claims.NAMES
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Fill in what every custom plan has."""
        if request.GET.get("template") != "custom":
            return {}
        return {
            "edition": Edition.COMMERCIAL,
            "billing_period": BillingPeriod.YEARLY,
            "urn": "urn:oneimlx:lic:plan:custom",
            "custom_claims": custom_claims.TEMPLATE,
        }

    @override
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Say what a code is."""
        kwargs["help_texts"] = {"code": "Such as acme-yearly: imports name the plan by it."}
        return super().get_form(request, obj, change, **kwargs)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Make the code read-only: the portal finds its own plans by it."""
        return ("client_generations", "code") if obj else ("client_generations",)

    @override
    def add(self, row: Plan, *, actor: Actor, reason: str, **extra: Any) -> object:
        return add_plan(plan=row, actor=actor, reason=reason)

    @override
    def edit(self, row: Plan, changes: dict[str, Any], *, actor: Actor, reason: str) -> object:
        return edit_plan(plan=row, changes=changes, actor=actor, reason=reason)

    @admin.display(description="client generations")
    def client_generations(self, obj: Plan) -> str:
        """Return the released clients that start on the plan, oldest first."""
        return ", ".join(generations(obj.urn)) or "None that was released"
