"""What operators see of subscriptions."""

from typing import Any, ClassVar, override

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from portal.core.actors import Actor
from portal.operators.actions import ActionsAdmin
from portal.operators.importing import ImportsAdmin
from portal.operators.lists import CountryFilter, choice_filter
from portal.operators.model_admin import EditedAdmin, RecordForm, links, listing
from portal.operators.values import Shown, badge
from subscriptions.admin.actions import ACTIONS
from subscriptions.admin.rows import SUBSCRIPTIONS
from subscriptions.flows.add import add_subscription
from subscriptions.flows.edit import edit_subscription
from subscriptions.models import Plan, State, Subscription, SubscriptionQuerySet


class SubscriptionForm(RecordForm):
    """A subscription whose beneficiary is the tenant that bought it, unless another is named."""

    plan = forms.ModelChoiceField(
        Plan.objects.offered(), error_messages={"required": "Choose a plan."}
    )
    beneficiary_tenant_id = forms.UUIDField(
        required=False,
        label="Beneficiary's tenant identifier",
        help_text="Empty: the tenant of the subscription.",
    )

    @override
    def clean(self) -> dict[str, Any]:
        """Fill in the beneficiary."""
        cleaned = super().clean() or self.cleaned_data
        tenant = cleaned.get("tenant")
        if not cleaned.get("beneficiary_tenant_id") and not self.errors.get(
            "beneficiary_tenant_id"
        ):
            cleaned["beneficiary_tenant_id"] = tenant.pk if tenant else self.instance.tenant_id
        return cleaned


@admin.register(Subscription)
class SubscriptionAdmin(ImportsAdmin, ActionsAdmin, EditedAdmin):
    """Subscriptions. Actions change state, plan and end date; the form edits the rest."""

    operator_actions = ACTIONS
    imported = SUBSCRIPTIONS

    form = SubscriptionForm
    fields: ClassVar[Any] = (
        "state_now",
        "tenant",
        "plan",
        "name",
        "starts_at",
        "ends_at",
        "beneficiary_tenant_id",
        "beneficiary_object_id",
        "beneficiary_email",
        "activated_at",
        "activated_by",
        "is_self_started",
        "created_at",
        "id",
        "belongings",
    )
    fixed: ClassVar[tuple[str, ...]] = (
        "id",
        "state_now",
        "activated_at",
        "activated_by",
        "is_self_started",
        "created_at",
        "belongings",
    )
    list_display: Any = ("name", "tenant", "state_now", "ends_at")
    below: dict[str, str] = {"name": "id", "tenant": "plan", "ends_at": "starts_at"}
    also_exported = ("beneficiary_email",)
    list_filter: ClassVar[Any] = (
        choice_filter("state", "effective_state", State),
        "plan",
        CountryFilter,
    )
    # Prefetched: with a join the database would sort all rows with all columns for each page.
    list_select_related = ()
    autocomplete_fields = ("tenant",)
    search_fields = ("name", "tenant__name", "beneficiary_email")
    search_help_text = (
        "Name, tenant's name, email address or domain of the beneficiary or a member, or whole "
        "identifier of the subscription, the tenant or the beneficiary"
    )
    ordering = ("-created_at", "-id")
    identifiers: tuple[str, ...] = (
        "id",
        "tenant_id",
        "beneficiary_tenant_id",
        "beneficiary_object_id",
    )
    emails = ("beneficiary_email", "tenant__memberships__user__email")
    belonging_lists: tuple[tuple[str, str], ...] = ()
    """(label, list) of related rows to link to; other apps add theirs."""

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.shown(Subscription.objects.all())

    def shown(self, rows: SubscriptionQuerySet) -> SubscriptionQuerySet:
        """Annotate the rows with what the list shows."""
        return rows.with_state().prefetch_related("tenant", "plan")

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the present minute: nobody means seconds."""
        start = timezone.now().replace(second=0, microsecond=0)
        return {"starts_at": start, **super().get_changeform_initial_data(request)}

    @override
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Say what is missing where no tenant was chosen."""
        kwargs["error_messages"] = {"tenant": {"required": "Choose a tenant."}}
        return super().get_form(request, obj, change, **kwargs)

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new subscription has fewer fields than an existing one."""
        return self.fields if obj else [name for name in self.fields if name not in self.fixed]

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Make read-only what flows change, and the tenant, since keys were issued to it."""
        return (*self.fixed, "tenant", "plan", "ends_at") if obj else self.fixed

    @override
    def add(self, row: Subscription, *, actor: Actor, reason: str, **extra: Any) -> object:
        return add_subscription(subscription=row, actor=actor, reason=reason)

    @override
    def edit(
        self, row: Subscription, changes: dict[str, Any], *, actor: Actor, reason: str
    ) -> object:
        return edit_subscription(subscription=row, changes=changes, actor=actor, reason=reason)

    @override
    def log_filter(self, obj: Subscription) -> dict[str, Any]:
        """Everything that happened to the subscription."""
        return {"tenant_id__exact": obj.tenant_id, "subscription_id__exact": obj.pk}

    @admin.display(description="state")
    def state_now(self, obj: Subscription) -> Shown:
        """Return the state: ended also when the end date has passed."""
        state = obj.state_at(timezone.now())
        return badge(state.label, state.tone)

    @admin.display(description="more about it")
    def belongings(self, obj: Subscription) -> SafeString:
        """Return links to the licenses and the log of the subscription."""
        return links(
            *(
                (label, listing(name, subscription__id__exact=obj.pk))
                for label, name in self.belonging_lists
            ),
            ("Log", listing("portal_logentry", **self.log_filter(obj))),
        )
