"""What operators see of plans and subscriptions."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from portal.access import actor_of
from portal.activity import Action, Subject
from portal.admin_deeds import DeedsAdmin
from portal.admin_import import ImportsAdmin
from portal.admin_lists import CountryFilter, word_filter
from portal.admin_site import RecordedAdmin, RecordForm, links, listing
from subscriptions import custom_claims
from subscriptions.catalogue import generations
from subscriptions.deeds import DEEDS
from subscriptions.flows.add import add
from subscriptions.imports import SUBSCRIPTIONS
from subscriptions.models import Plan, State, Subscription, SubscriptionQuerySet


class ClaimsField(forms.JSONField):
    """JSON that stands in lines; nothing is no claims."""

    def prepare_value(self, value: Any) -> Any:
        """Return the claims one a line, and what was typed wrongly as it was typed."""
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False, indent=2) if value else ""
        return super().prepare_value(value)

    def clean(self, value: Any) -> Any:
        """Return the claims, {} for none."""
        claims = super().clean(value)
        return {} if claims is None else claims


class PlanForm(RecordForm):
    """A plan; its own `clean` sees to it that the custom claims fit its URN."""

    custom_claims = ClaimsField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 24, "cols": 70, "spellcheck": "false"}),
        help_text="For custom plans only, whose URN ends in :plan:custom: a JSON object with the "
        f"claims {', '.join(custom_claims.NAMES)}. Terminals read every one of them.",
    )


@admin.register(Plan)
class PlanAdmin(RecordedAdmin):
    """What subscriptions are for. Licenses keep the plan as it was when they were generated."""

    form = PlanForm
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
    list_display = (
        "name",
        "code",
        "edition",
        "billing_period",
        "is_offered",
        "urn",
        "client_generations",
    )
    list_filter = ("edition", "billing_period", "is_offered")
    search_fields = ("name", "code", "urn")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fix the code: the portal finds its own plans by it."""
        return ("client_generations", "code") if obj else ("client_generations",)

    @admin.display(description="client generations")
    def client_generations(self, obj: Plan) -> str:
        """Return the released clients that start on the plan, oldest first."""
        return ", ".join(generations(obj.urn)) or "None that was released"


class StateFilter(admin.SimpleListFilter):
    """Filters by the effective state, in which a past end date is an end."""

    title = "state"
    parameter_name = "effective_state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return every state with its label."""
        return State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the subscriptions in the chosen state."""
        return queryset.filter(effective_state=self.value()) if self.value() else queryset


class SubscriptionForm(RecordForm):
    """A subscription whose beneficiary is the tenant that bought it, unless another is named."""

    plan = forms.ModelChoiceField(Plan.objects.offered())
    beneficiary_tenant_id = forms.UUIDField(
        required=False,
        label="Beneficiary's tenant identifier",
        help_text="Empty: the tenant of the subscription.",
    )

    def clean(self) -> dict[str, Any]:
        """Fill the beneficiary in."""
        cleaned = super().clean() or self.cleaned_data
        tenant = cleaned.get("tenant")
        if not cleaned.get("beneficiary_tenant_id") and not self.errors.get(
            "beneficiary_tenant_id"
        ):
            cleaned["beneficiary_tenant_id"] = tenant.pk if tenant else self.instance.tenant_id
        return cleaned


@admin.register(Subscription)
class SubscriptionAdmin(ImportsAdmin, DeedsAdmin, RecordedAdmin):
    """What tenants bought. Flows change state, plan and end; here is what surrounds them."""

    deeds = DEEDS
    imported = SUBSCRIPTIONS

    form = SubscriptionForm
    fields = (
        "id",
        "tenant",
        "plan",
        "name",
        "state_now",
        "state",
        "starts_at",
        "ends_at",
        "beneficiary_tenant_id",
        "beneficiary_object_id",
        "beneficiary_email",
        "activated_at",
        "activated_by",
        "is_self_started",
        "created_at",
        "belongings",
    )
    fixed = (
        "id",
        "state",
        "state_now",
        "activated_at",
        "activated_by",
        "is_self_started",
        "created_at",
        "belongings",
    )
    list_display = (
        "name",
        "tenant",
        "plan",
        "state_now",
        "starts_at",
        "ends_at",
        "id",
    )
    list_filter = (
        StateFilter,
        word_filter("expiry", "expiring", "Within 30 days", SubscriptionQuerySet.expiring),
        word_filter("download", "downloaded", "Never", SubscriptionQuerySet.never_downloaded),
        word_filter("check", "checked", "Never", SubscriptionQuerySet.never_checked),
        "is_self_started",
        "plan",
        CountryFilter,
    )
    # Prefetched: a join would be sorted whole, with all its columns, for a page of it.
    list_select_related = ()
    autocomplete_fields = ("tenant",)
    search_fields = ("name", "tenant__name", "beneficiary_email")
    search_help_text = (
        "Name, tenant's name, email address or domain of the beneficiary or a member, or whole "
        "identifier of the subscription, the tenant, the beneficiary, an authorized application "
        "or a license key (jti)"
    )
    ordering = ("-created_at", "-id")
    identifiers = (
        "id",
        "tenant_id",
        "beneficiary_tenant_id",
        "beneficiary_object_id",
        "licenses__authorized_application_id",
        "licenses__keys__jti",
    )
    emails = ("beneficiary_email", "tenant__memberships__user__email")
    changed_action = Action.SUBSCRIPTION_CHANGED

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the subscriptions with their effective state."""
        queryset: Any = super().get_queryset(request)
        return queryset.with_state().prefetch_related("tenant", "plan")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what a new subscription needs, or everything of an existing one."""
        return self.fields if obj else [name for name in self.fields if name not in self.fixed]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fix what flows change, and the tenant: keys were issued to it."""
        return (*self.fixed, "tenant", "plan", "ends_at") if obj else self.fixed

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: Any) -> None:
        """Save; a new subscription is added by its flow."""
        if change:
            super().save_model(request, obj, form, change)
            return
        add(subscription=obj, actor=actor_of(request), reason=form.cleaned_data["reason"])

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Leave it to the flow, which recorded that the subscription was added."""

    def subject_of(self, obj: Subscription) -> Subject:
        """Return the subscription: the log names it."""
        return obj

    def log_filter(self, obj: Subscription) -> dict[str, Any]:
        """Return the filter for everything that happened to the subscription."""
        return {"tenant_id__exact": obj.tenant_id, "subscription_id__exact": obj.pk}

    @admin.display(description="effective state")
    def state_now(self, obj: Subscription) -> str:
        """Return the state in which a past end date is an end."""
        return str(obj.state_at(timezone.now()).label)

    @admin.display(description="belongings")
    def belongings(self, obj: Subscription) -> SafeString:
        """Return links to the licenses and the log of the subscription."""
        return links(
            ("Licenses", listing("licenses_license", subscription__id__exact=obj.pk)),
            ("Log", listing("portal_logentry", **self.log_filter(obj))),
        )
