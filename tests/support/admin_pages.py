"""What an operator does in the admin, as functions."""

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry as DjangoLogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses.models import CheckCount, License, LicenseKey, SigningKey, StatusList
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.mail.models import Outbox
from portal.operators.flows.recovery import replace_owner
from portal.operators.models import PendingChange
from portal.tenants.models import Invitation, Member, Role, Tenant
from portal.webhooks.models import Delivery, Endpoint, Event
from subscriptions.models import Plan, Subscription
from subscriptions.service_tokens.models import ServiceToken
from tests.support.accounts import make_user
from tests.support.factories import (
    make_license,
    make_subscription,
    make_tenant,
)
from tests.support.service_tokens import make_service_token

ADDED: list[Any] = [Tenant, Plan, Subscription]
EDITED: list[Any] = [*ADDED, User]
LOOKED_AT: list[Any] = [
    License,
    LicenseKey,
    SigningKey,
    LogEntry,
    CheckCount,
    StatusList,
    Outbox,
    Member,
    Invitation,
    PendingChange,
    ServiceToken,
    Endpoint,
    Delivery,
]
REASON = "Ticket 7"


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def form_of(client: Client, url: str) -> dict[str, Any]:
    """Return what a browser would send back from the page's form, unchanged."""
    response = client.get(url)
    assert response.status_code == 200
    sent: dict[str, Any] = {}
    for field in response.context["adminform"].form:
        value = field.value()
        if field.name.endswith("_at"):
            moment = value if isinstance(value, datetime) else None
            parts = {"0": f"{moment:%Y-%m-%d}", "1": f"{moment:%H:%M:%S}"} if moment else {}
            if isinstance(value, list):  # what was typed before a proof was asked for
                parts = dict(zip("01", value, strict=True))
            # Where the default is the present time the page also has, hidden, what it began with.
            for prefix in ["", "initial-"] if field.field.show_hidden_initial else [""]:
                sent |= {f"{prefix}{field.name}_{part}": parts.get(part, "") for part in "01"}
        elif isinstance(value, bool):
            sent |= {field.name: "on"} if value else {}
        else:
            sent[field.name] = "" if value is None else str(value)
    return sent


def save(client: Client, url: str, **changes: Any) -> Any:
    """Change fields of the page's form as a person would, give a REASON, and send it."""
    sent = {**form_of(client, url), "reason": REASON, **changes}
    return client.post(url, {name: value for name, value in sent.items() if value is not None})


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def only_entry() -> LogEntry:
    entry = LogEntry.objects.get()
    assert not DjangoLogEntry.objects.exists()
    return entry


def fill() -> None:
    """Make a row of everything that the admin lists."""
    tenant = make_tenant()
    user = make_user(email=f"user{User.objects.count()}@contoso.example")
    Member.objects.create(tenant=tenant, user=user, role=Role.VIEWER)
    Invitation.objects.create(
        tenant=tenant,
        email=user.email,
        role=Role.VIEWER,
        invited_by=user,
        token_sha256=str(user.pk),
    )
    license = make_license(subscription=make_subscription(tenant=tenant))
    Outbox.objects.create(tenant_id=tenant.pk, to=user.email, subject="Hello", text="Hello.")
    make_service_token(tenant=tenant)
    endpoint = Endpoint.objects.create(tenant=tenant, url="https://hooks.example/in", secret="")
    event = Event.objects.create(tenant_id=tenant.pk, type="key.reset", body="{}")
    Delivery.objects.create(endpoint=endpoint, event=event)
    now = timezone.now()
    Outbox.objects.create(tenant_id=tenant.pk, to=user.email, subject="Hello", text="Secret")
    replace_owner(
        tenant=tenant,
        email="new@contoso.example",
        actor=user.as_actor(""),
        reason="The owner has left.",
    )
    for key in license.keys.all():
        CheckCount.objects.create(
            tenant=tenant, license_key=key, hour=now, result="valid", count=1, last_at=now
        )


def make_row_in_log(client: Client) -> None:
    tenant = make_tenant()
    save(client, address(Tenant, "change", tenant.pk), name="Logged")
