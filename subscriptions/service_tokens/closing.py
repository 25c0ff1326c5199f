"""The service tokens of a tenant that leaves: what its export tells, and how they go."""

from portal.activity.pseudonyms import Pseudonyms
from portal.core.steps import remove_in_steps
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from subscriptions.service_tokens.models import ServiceToken

TOKENS = Section(
    name="service-tokens",
    fields=(
        *("id", "name", "scopes", "for_all_subscriptions", "networks", "ending", "expires_at"),
        *("created_at", "created_by_name", "last_used_at", "last_used_from", "successor_id"),
        *("overlap_ends_at", "revoked_at", "revoked_by_name", "revoked_reason"),
    ),
    rows=lambda tenant: tenant.service_tokens.all(),
)
CHOSEN = Section(
    name="service-token-subscriptions",
    fields=("servicetoken_id", "subscription_id"),
    rows=lambda tenant: ServiceToken.chosen.through.objects.filter(servicetoken__tenant=tenant),
)
"""Which subscriptions a token reaches that does not reach all of them."""


def remove_tokens(tenant: Tenant, names: Pseudonyms) -> None:  # noqa: ARG001 (a `Step`)
    """Remove the tokens: none of them has worked since the tenant was closed."""
    remove_in_steps(tenant.service_tokens.all())
