"""Service tokens to test with, made directly: no flow is run."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from portal.core import token_format
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import DEFAULT_DAYS, Scope, ServiceToken, hashed


def make_service_token(
    *,
    tenant: Tenant,
    scopes: list[Scope] | None = None,
    only: list[Subscription] | None = None,
    **fields: Any,
) -> tuple[ServiceToken, str]:
    """Return a token with all scopes, for all subscriptions or `only` some, and its secret."""
    raw = token_format.generate()
    now = timezone.now()
    values: dict[str, Any] = {
        "name": "Pipeline",
        "scopes": [str(scope) for scope in (Scope if scopes is None else scopes)],
        "for_all_subscriptions": only is None,
        "secret_sha256": hashed(raw),
        "ending": raw[-4:],
        "created_at": now,
        "expires_at": now + timedelta(days=DEFAULT_DAYS),
        "created_by_name": "Ada",
    }
    token = ServiceToken.objects.create(tenant=tenant, **(values | fields))
    token.chosen.set(only or [])
    return token, raw
