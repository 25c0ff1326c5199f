"""What operators see of service tokens: never a secret, nor its hash."""

from django.contrib import admin
from django.utils import timezone

from portal.operators.lists import empty_filter
from portal.operators.model_admin import ReadOnlyAdmin
from portal.operators.values import Shown, badge
from subscriptions.service_tokens.models import ServiceToken, TokenState

TONES = {TokenState.ACTIVE: "good", TokenState.OVERLAPPING: "info", TokenState.EXPIRED: "bad"}


@admin.register(ServiceToken)
class ServiceTokenAdmin(ReadOnlyAdmin):
    """Service tokens of all tenants. Their owners make and revoke them."""

    intro = "What programs of tenants show to act for them. Owners make and revoke them."
    fields = (
        "id",
        "tenant",
        "name",
        "ending",
        "state",
        "scopes",
        "for_all_subscriptions",
        "chosen",
        "networks",
        "created_at",
        "created_by_name",
        "created_by_id",
        "expires_at",
        "last_used_at",
        "last_used_from",
        "successor",
        "overlap_ends_at",
        "revoked_at",
        "revoked_by_name",
        "revoked_reason",
    )
    list_display = ("name", "tenant", "state", "last_used_at", "expires_at")
    below = {"name": "ending", "tenant": "created_by_name", "last_used_at": "last_used_from"}
    clocks = ("last_used_at", "expires_at")
    folded = ("id", "created_by_id", "successor")
    list_filter = (("revoked_at", empty_filter("revoked", "Not revoked", "Revoked")),)
    search_fields = ("name", "tenant__name")
    search_help_text = "Name of the token or its tenant, or the token's whole identifier"
    identifiers = ("id", "tenant_id")
    list_select_related = ("tenant",)
    ordering = ("-created_at", "-id")

    @admin.display(description="state")
    def state(self, obj: ServiceToken) -> Shown:
        """Return whether it works now, and if not, why."""
        state = obj.state_at(timezone.now())
        return badge(str(state.label), TONES.get(state, "muted"))
