"""A caller of the API: a client with a service token, and addresses of what it asks for."""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import Scope
from tests.support.service_tokens import make_service_token

BASE = "/api/v1"


class Caller:
    """Sends requests with a service token; `raw` is its secret."""

    def __init__(self, tenant: Tenant, *scopes: Scope, **fields: Any) -> None:
        self.token, self.raw = make_service_token(
            tenant=tenant, scopes=list(scopes or Scope), **fields
        )
        self.client = Client(headers={"Authorization": f"Bearer {self.raw}"})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(BASE + path, headers=_named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = "" if body is None else json.dumps(body)
        kind = "application/json"
        return self.client.post(BASE + path, content, content_type=kind, headers=_named(headers))


def of(subscription: Subscription, rest: str = "") -> str:
    """Return the path of a subscription, or of what is below it."""
    return f"/subscriptions/{subscription.pk}{rest}"


def code_of(response: HttpResponse) -> tuple[int, str]:
    """Return status and code of a problem; fails for what is no problem."""
    assert response["Content-Type"] == "application/problem+json", response.content
    return response.status_code, json.loads(response.content)["code"]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
