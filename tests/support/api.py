"""A caller of the API: a client with a service token, and addresses of what it asks for.

Every answer that it gets is held to the description of the API.
"""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import Resolver404, resolve

from licenses.api.description import document
from portal.programs.errors import PROBLEM
from portal.tenants.models import Tenant
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import Scope
from tests.support.service_tokens import make_service_token

BASE = "/api/v1"
JSON = "application/json"
KINDS = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


UNDESCRIBED = {
    "Cache-Control", "Content-Length", "Content-Security-Policy", "Content-Type", "X-Request-ID",
    "X-Content-Type-Options",
}  # fmt: skip
"""Headers of every answer, which the description leaves out."""


class Caller:
    """Sends requests with a service token; `raw` is its secret."""

    def __init__(self, tenant: Tenant, *scopes: Scope, **fields: Any) -> None:
        self.token, self.raw = make_service_token(
            tenant=tenant, scopes=list(scopes or Scope), **fields
        )
        self.client = Client(headers={"Authorization": f"Bearer {self.raw}"})

    def get(self, path: str, **headers: str) -> Any:
        return _described("get", self.client.get(BASE + path, headers=_named(headers)))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = "" if body is None else json.dumps(body)
        headers = _named(headers)
        answer = self.client.post(BASE + path, content, content_type=JSON, headers=headers)
        return _described("post", answer)


def of(subscription: Subscription, rest: str = "") -> str:
    """Return the path of a subscription, or of what is below it."""
    return f"/subscriptions/{subscription.pk}{rest}"


def code_of(response: HttpResponse) -> tuple[int, str]:
    """Return status and code of a problem; fails for what is no problem."""
    assert response["Content-Type"] == "application/problem+json", response.content
    return response.status_code, json.loads(response.content)["code"]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _described(method: str, answer: Any) -> Any:
    """Return the answer; fails unless it is described: status, headers, media type and members."""
    try:
        name = resolve(answer.request["PATH_INFO"]).url_name
    except Resolver404:
        return answer
    operations = [found for path in document()["paths"].values() for found in path.items()]
    for described, operation in operations:
        if (described, operation["operationId"]) != (method, name):
            continue
        response = operation["responses"].get(str(answer.status_code))
        assert response is not None, f"{name} does not describe {answer.status_code}"
        assert answer.headers.keys() - UNDESCRIBED <= response["headers"].keys(), name
        if "content" in response:
            schema = response["content"][answer["Content-Type"]]["schema"]
            if answer["Content-Type"] in {JSON, PROBLEM}:
                assert_fits(answer.json(), schema, name)
    return answer


def assert_fits(value: Any, schema: dict[str, Any], where: str) -> None:
    """Fail unless the value fits the schema, as far as the description uses JSON Schema."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
        if value is not None:
            assert_fits(value, kinds[0], where)
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert type(value) in [KINDS[kind] for kind in kinds], f"{where}: {value!r} is no {kinds}"
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r}"
    if isinstance(value, list):
        for each in value:
            assert_fits(each, schema["items"], where)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", [])) <= value.keys() <= schema["properties"].keys(), where
        for name, each in value.items():
            assert_fits(each, schema["properties"][name], f"{where}.{name}")
