"""What operators see of webhooks, and how they set those of the vendor itself."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, override

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.activity.actions import event_types
from portal.core.actors import Actor
from portal.operators.actions import ActionsAdmin, OperatorAction, RowResult
from portal.operators.forms import VendorReasonForm
from portal.operators.lists import empty_filter
from portal.operators.model_admin import ReadOnlyAdmin, links, listing
from portal.operators.values import Shown, badge, displayed
from portal.web.pages import with_secret
from portal.webhooks import flows
from portal.webhooks.forms import EndpointForm
from portal.webhooks.models import EVERYTHING, Attempt, Delivery, DeliveryState, Endpoint

SHOWN_ATTEMPTS = 5
"""Attempts on the page of a delivery, the newest first."""


class VendorEndpointForm(EndpointForm, VendorReasonForm):
    """Where the events go, which, and why; at first as they are."""

    def __init__(self, *args: Any, rows: Sequence[Any] = (), initial: Any = None, **kwargs: Any):
        now = {"url": rows[0].url, "events": rows[0].events} if rows else {"events": event_types()}
        super().__init__(*args, rows=rows, initial=initial or now, **kwargs)


def _add(**chosen: Any) -> Endpoint:
    endpoint, secret = flows.add_endpoint(tenant=None, **chosen)
    endpoint.shown_secret = secret  # type: ignore[attr-defined]
    return endpoint


def _rotate(row: Endpoint, *, actor: Actor, reason: str) -> None:
    _, row.shown_secret = flows.rotate_secret(  # type: ignore[attr-defined]
        endpoint=row, seen=row.secret_made_at.isoformat(), actor=actor, reason=reason
    )


def _is_vendors(row: Endpoint) -> bool:
    return row.tenant_id is None and row.deleted_at is None


ADD = OperatorAction(
    name="add_webhook",
    label="Add webhook of the vendor",
    consequences=(
        "It is told these events of every tenant, with names of subscriptions and people.",
    ),
    flow=_add,
    form=VendorEndpointForm,
    permission="manage",
    makes_new=True,
)
CHANGE = OperatorAction(
    name="change_webhook",
    label="Change webhook",
    consequences=("What waits goes to the new address, whichever events are chosen.",),
    flow=lambda row, **chosen: flows.change_endpoint(endpoint=row, **chosen),
    form=VendorEndpointForm,
    permission="manage",
    on_page=True,
    is_possible=_is_vendors,
    done=lambda row, _: f"Events go to {row.host} from now on.",
)
ROTATE = OperatorAction(
    name="rotate_secret",
    label="Rotate secret",
    consequences=(
        "For 24 hours each request is signed with the old secret too.",
        "A secret that was rotated before that stops now.",
    ),
    flow=_rotate,
    form=VendorReasonForm,
    permission="manage",
    on_page=True,
    is_possible=lambda row: _is_vendors(row) and not _was_just_rotated(row),
)
SWITCH_OFF = OperatorAction(
    name="switch_off",
    label="Switch off",
    consequences=("Nothing is delivered any more; what waits is kept for 30 days.",),
    flow=lambda row, **chosen: flows.switch_off(endpoint=row, **chosen),
    form=VendorReasonForm,
    permission="manage",
    on_page=True,
    is_possible=lambda row: _is_vendors(row) and row.off_at is None,
    done=lambda row, _: f"{row.host} is switched off. What waits is kept for 30 days.",
    next=("switch_on",),
)
SWITCH_ON = OperatorAction(
    name="switch_on",
    label="Switch on",
    consequences=("Queued events are sent first, in order.",),
    flow=lambda row, **chosen: flows.switch_on(endpoint=row, **chosen),
    form=VendorReasonForm,
    permission="manage",
    on_page=True,
    is_possible=lambda row: _is_vendors(row) and row.off_at is not None,
    done=lambda row, _: f"{row.host} is switched on. What waits is sent first.",
    next=("send_test",),
)
TEST = OperatorAction(
    name="send_test",
    label="Send test event",
    consequences=("An event of the type webhook.test goes out behind what waits.",),
    flow=lambda row, **chosen: flows.send_test(endpoint=row, **chosen),
    form=VendorReasonForm,
    permission="manage",
    on_page=True,
    is_possible=lambda row: _is_vendors(row) and row.off_at is None,
    done=lambda row, _: f"A test event goes to {row.host} behind what waits.",
)
DELETE = OperatorAction(
    name="delete_webhook",
    label="Delete webhook",
    consequences=("What waits is not delivered, and the secret is erased.",),
    flow=lambda row, **chosen: flows.delete_endpoint(endpoint=row, **chosen),
    form=VendorReasonForm,
    permission="manage",
    is_dangerous=True,
    on_page=True,
    is_possible=_is_vendors,
    done=lambda row, _: f"The webhook of {row.host} is deleted. Nothing more is delivered to it.",
)

RESEND = OperatorAction(
    name="send_again",
    label="Send again",
    consequences=(
        "The event goes out once more, behind what waits.",
        "It keeps its identifier: a receiver that knows it leaves it out.",
    ),
    flow=lambda row, **chosen: flows.resend(delivery=row, **chosen),
    form=VendorReasonForm,
    permission="manage",
    on_page=True,
    is_possible=lambda row: (
        _is_vendors(row.endpoint)
        and row.endpoint.off_at is None
        and row.state != DeliveryState.WAITING
    ),
    done=lambda row, _: f"The event goes to {row.endpoint.host} once more, behind what waits.",
)


def _was_just_rotated(row: Endpoint) -> bool:
    """Return whether a press of the button may be the second of two."""
    return row.old_secret_until is not None and (
        timezone.now() - row.secret_made_at < timedelta(minutes=1)
    )


@admin.register(Endpoint)
class EndpointAdmin(ActionsAdmin, ReadOnlyAdmin):
    """Webhooks: those of tenants are theirs alone, those of the vendor are set here.

    Of a tenant's address only the host is shown, as in the log: the rest is often a secret.
    """

    operator_actions = (ADD, TEST, CHANGE, ROTATE, SWITCH_OFF, SWITCH_ON, DELETE)
    fields = (
        "state",
        "why_off",
        "advice",
        "tenant",
        "address",
        "told",
        "id",
        "failures",
        "retry_at",
        "created_at",
        "created_by_name",
        "secret_made_at",
        "old_secret_until",
        "off_at",
        "deleted_at",
        "belongings",
    )
    list_display = ("address", "whose", "state", "created_at")
    below = {"whose": "created_by_name", "state": "why_off"}
    folded = ("id", "failures", "retry_at")
    list_filter = (
        ("off_at", empty_filter("switched off", "No", "Yes")),
        ("deleted_at", empty_filter("deleted", "No", "Yes")),
    )
    list_select_related = ("tenant",)
    search_fields = ("tenant__name",)
    search_help_text = "Tenant's name, or whole identifier of the tenant or webhook"
    ordering = ("-created_at", "id")
    identifiers = ("id", "tenant_id")
    secrets = ("secret", "old_secret")

    def has_manage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may set the vendor's own webhooks."""
        return request.user.has_perm("portal.change_endpoint") and (
            obj is None or not obj.tenant_id
        )

    @admin.display(description="address")
    def address(self, obj: Endpoint) -> str:
        """Return where its events go."""
        return obj.host if obj.tenant_id else obj.url

    @admin.display(description="events")
    def told(self, obj: Endpoint) -> Any:
        """Return the types of events that it is told."""
        return "Everything" if EVERYTHING in obj.events else displayed(obj.events)

    @admin.display(description="why it is off")
    def why_off(self, obj: Endpoint) -> str:
        """Return what the receiver answered when the portal switched it off."""
        return obj.off_error if obj.off_at and not obj.deleted_at else ""

    @admin.display(description="what to do")
    def advice(self, obj: Endpoint) -> str:
        """Return who can switch it on again."""
        if obj.off_at is None or obj.deleted_at is not None:
            return ""
        if obj.tenant_id is None:
            return "Switch it on here once the receiver answers again."
        return "Owners and managers of the tenant can switch it on, on their page of webhooks."

    @admin.display(description="more about it")
    def belongings(self, obj: Endpoint) -> SafeString:
        """Return a link to its deliveries."""
        return links(("Deliveries", listing("portal_delivery", endpoint__id__exact=obj.pk)))

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse filters on addresses too, which would tell a hidden one step by step."""
        is_address = lookup.partition("__")[0] == "url"
        return not is_address and super().lookup_allowed(lookup, value, request)

    @admin.display(description="whose")
    def whose(self, obj: Endpoint) -> str:
        """Return whose webhook it is."""
        return str(obj.tenant or "The vendor")

    @admin.display(description="state")
    def state(self, obj: Endpoint) -> Shown:
        """Return whether events are delivered."""
        if obj.deleted_at:
            return badge("Deleted", "muted")
        if obj.off_at:
            return badge("Switched off", "bad" if obj.off_error else "muted")
        return badge("Failing", "warn") if obj.failures else badge("On", "good")

    @override
    def _result_page(
        self, request: HttpRequest, action: OperatorAction, results: list[RowResult]
    ) -> HttpResponse:
        """Show a new secret, once."""
        endpoint: Any = results[0].row
        secret = getattr(endpoint, "shown_secret", "")
        if not secret:
            return super()._result_page(request, action, results)
        context = {"title": action.label, "secret": secret, "endpoint": endpoint}
        context["address"] = results[0].address
        return with_secret(self.page(request, "admin/webhook_secret.html", context))


@admin.register(Delivery)
class DeliveryAdmin(ActionsAdmin, ReadOnlyAdmin):
    """What became of each event for each webhook.

    What a tenant's receiver answered is read by the tenant alone.
    """

    operator_actions = (RESEND,)
    fields = (
        "state",
        "advice",
        "type",
        "message",
        "endpoint",
        "whose",
        "is_resent",
        "created_at",
        "first_tried_at",
        "finished_at",
        "body",
        "attempts_made",
    )
    list_display = ("type", "endpoint", "created_at", "state")
    below = {"type": "message", "endpoint": "whose", "state": "finished_at"}
    has_history = False
    clocks = ("created_at",)
    badges = {
        "state": {
            DeliveryState.DELIVERED: "good",
            DeliveryState.WAITING: "warn",
            DeliveryState.GIVEN_UP: "bad",
        }
    }
    list_filter = ("state",)
    list_select_related = ("event", "endpoint__tenant")
    ordering = ("-id",)
    search_fields = ("event__type",)
    search_help_text = "Type of the event, or whole identifier of the webhook or event"
    identifiers = ("endpoint_id", "event_id")

    def has_manage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may set the vendor's own webhooks."""
        return request.user.has_perm("portal.change_endpoint") and (
            obj is None or not obj.endpoint.tenant_id
        )

    @admin.display(description="what to do")
    def advice(self, obj: Delivery) -> str:
        """Return what helps where the event did not arrive, and who does it."""
        if obj.state == DeliveryState.DELIVERED or obj.endpoint.deleted_at:
            return ""
        on = "Switch the webhook on once its receiver answers again" if obj.endpoint.off_at else ""
        if obj.state == DeliveryState.WAITING:
            return f"{on}: what waits is sent first." if on else ""
        again = f"{on}, then send the event again." if on else "Send it again once that is mended."
        theirs = " Owners and managers of the tenant do so, on their page of webhooks."
        return f"{again}{theirs if obj.endpoint.tenant_id else ''}"

    @admin.display(description="body")
    def body(self, obj: Delivery) -> Any:
        """Return what was sent."""
        return displayed(json.loads(obj.event.body))

    @admin.display(description="attempts")
    def attempts_made(self, obj: Delivery) -> SafeString:
        """Return the newest attempts, in words, with what was sent and answered."""
        newest = Attempt.objects.filter(delivery=obj).order_by("-pk")[:SHOWN_ATTEMPTS]
        with_answers = obj.endpoint.tenant_id is None
        context = {"attempts": newest, "with_answers": with_answers}
        return render_to_string("admin/webhook_attempts.html", context)

    @admin.display(description="event", ordering="event__type")
    def type(self, obj: Delivery) -> str:
        """Return what happened."""
        return obj.event.type

    @admin.display(description="message")
    def message(self, obj: Delivery) -> Shown:
        """Return the identifier that the receiver gets."""
        return Shown(obj.event.name, format_html("<code>{}</code>", obj.event.name))

    @admin.display(description="whose")
    def whose(self, obj: Delivery) -> str:
        """Return whose webhook it is."""
        return str(obj.endpoint.tenant or "The vendor")
