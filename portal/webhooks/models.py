"""Endpoints that are told of events, and what became of each delivery."""

from __future__ import annotations

import uuid
from datetime import datetime
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from portal.activity.actions import event_types
from portal.tenants.models import Tenant

TEST_EVENT = "webhook.test"
"""Type of the event that people send to see whether an endpoint works."""

EVERYTHING = "*"
"""Stands among the chosen events for all of them, those of later releases too."""


def all_events() -> list[str]:
    """Return all types of events that can be chosen."""
    return event_types()


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    """Endpoints, by whether they are told of anything."""

    def kept(self) -> EndpointQuerySet:
        """Return those that were not deleted, the oldest first."""
        return self.filter(deleted_at=None).order_by("created_at", "pk")

    def on(self) -> EndpointQuerySet:
        """Return those that events are delivered to."""
        return self.filter(deleted_at=None, off_at=None)

    def due(self, now: datetime) -> EndpointQuerySet:
        """Return those that no worker has and whose next delivery is due.

        Those whose last attempt was delivered come first: the others never hold them up.
        """
        waiting = Delivery.objects.waiting().filter(endpoint=OuterRef("pk"))
        rows = self.on().filter(Exists(waiting), retry_at__lte=now, leased_until__lte=now)
        return rows.order_by("-is_proven", "failures", "retry_at", "pk")


class Endpoint(models.Model):
    """An address that is told of events of a tenant; without one, of all tenants: the vendor's.

    A deleted one keeps its row as long as its deliveries: an event may be stored at that moment.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="webhook_endpoints"
    )
    url = models.CharField("address", max_length=2000)
    events = models.JSONField(default=all_events)
    secret = models.TextField(help_text="Encrypted with KEY_ENCRYPTION_KEYS.")
    secret_made_at = models.DateTimeField(default=timezone.now, editable=False)
    old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by_name = models.CharField(max_length=200)
    off_at = models.DateTimeField("switched off", null=True, blank=True)
    off_error = models.CharField(
        max_length=300, blank=True, help_text="Why the portal did it; empty where a person did."
    )
    deleted_at = models.DateTimeField(null=True, blank=True)
    is_proven = models.BooleanField(
        "proven",
        default=False,
        db_default=False,
        help_text="The last attempt was delivered, to the address as it is.",
    )
    failures = models.PositiveIntegerField(default=0, help_text="Attempts since the last success.")
    retry_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(default=timezone.now)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "url"],
                condition=Q(deleted_at=None),
                name="webhook_address_once",
                violation_error_message="There is a webhook to this address already.",
            ),
            models.UniqueConstraint(
                fields=["url"],
                condition=Q(tenant=None, deleted_at=None),
                name="webhook_address_of_vendor_once",
                violation_error_message="There is a webhook to this address already.",
            ),
        ]

    def __str__(self) -> str:
        return self.host

    def get_absolute_url(self) -> str:
        """Return the page of a tenant's endpoint."""
        return reverse("webhooks:detail", args=[self.pk])

    @property
    def gets_everything(self) -> bool:
        """Whether it is told of every event."""
        return EVERYTHING in self.events

    def wants(self, kind: str) -> bool:
        """Return whether it is told of events of that type."""
        return self.gets_everything or kind in self.events

    @property
    def host(self) -> str:
        """The host of the address, for sentences: the rest may be long, or hold a secret."""
        return urlsplit(self.url).netloc


class Event(models.Model):
    """Something that happened, as it is told: stored in the transaction of what it tells."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant_id = models.UUIDField(null=True)
    type = models.CharField(max_length=60)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="webhook_event_by_age")]

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    @property
    def name(self) -> str:
        """The identifier that receivers get: the same for every attempt and when sent again."""
        return f"msg_{self.pk.hex}"


class DeliveryState(models.TextChoices):
    """What became of a delivery."""

    WAITING = "waiting", "Waiting"
    DELIVERED = "delivered", "Delivered"
    GIVEN_UP = "given_up", "Given up"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, by what became of them."""

    def waiting(self) -> DeliveryQuerySet:
        """Return those that are still to be delivered, in the order of what they tell."""
        return self.filter(state=DeliveryState.WAITING).order_by("pk")

    def held_up(self) -> DeliveryQuerySet:
        """Return those that wait though no attempt at their endpoint has failed."""
        works = {"endpoint__off_at": None, "endpoint__deleted_at": None, "endpoint__failures": 0}
        return self.filter(state=DeliveryState.WAITING, **works)


class Delivery(models.Model):
    """One event for one endpoint; those of one endpoint go out in the order of their numbers."""

    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    is_resent = models.BooleanField("sent again", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    first_tried_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="webhook_delivery_state_known"
            )
        ]
        indexes = [
            models.Index(fields=["endpoint", "id"], name="webhook_delivery_by_number"),
            models.Index(
                fields=["endpoint", "id"],
                condition=Q(state=DeliveryState.WAITING),
                name="webhook_delivery_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event.type} to {self.endpoint}"


class Attempt(models.Model):
    """One request and what came of it; `code` is 0 where there was no answer."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField(default=timezone.now, editable=False)
    milliseconds = models.PositiveIntegerField()
    code = models.PositiveSmallIntegerField("status")
    answer = models.TextField(blank=True)
    error = models.CharField(max_length=300, blank=True)
    headers = models.TextField(
        blank=True, db_default="", help_text="Headers of the request, one a line."
    )

    def __str__(self) -> str:
        return f"{self.code or 'No answer'} after {self.took}"

    @property
    def took(self) -> str:
        """How long it took, in the unit that people read best."""
        if self.milliseconds < 1000:
            return f"{self.milliseconds} ms"
        return f"{self.milliseconds / 1000:.1f} s"
