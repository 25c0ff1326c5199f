"""Changes that operators request and owners may stop: they are done after a delay."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.accounts.models import User
from portal.tenants.models import Tenant

DELAY = timedelta(hours=24)
"""Time in which whoever got the mail may stop the change."""


class Kind(models.TextChoices):
    """What will be done."""

    REMOVE_SECOND_FACTOR = "remove_second_factor", "Remove a lost second factor"
    REPLACE_OWNER = "replace_owner", "Replace the last owner"


class Outcome(models.TextChoices):
    """The state of a pending change."""

    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    STOPPED = "stopped", "Stopped"
    REFUSED = "refused", "Refused"


class PendingChangeQuerySet(models.QuerySet["PendingChange"]):
    """Queries for pending changes."""

    def waiting(self) -> PendingChangeQuerySet:
        """Return those that were neither done nor stopped."""
        return self.filter(outcome=Outcome.WAITING)

    def due(self, now: datetime | None = None) -> PendingChangeQuerySet:
        """Return those whose delay is over, the oldest first."""
        return self.waiting().filter(due_at__lte=now or timezone.now()).order_by("due_at")


class PendingChange(models.Model):
    """A change of an account or a tenant that waits; whoever gets its mail may stop it.

    A second factor is removed from `user`; in `tenant` the person with `email` becomes an owner.
    Only a hash of the secret in the mail's link is kept. `removes` are the identifiers, at the
    request, of the user's factors or of the tenant's owners: the change is for these alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=30, choices=Kind)
    tenant = models.ForeignKey(Tenant, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    email = models.EmailField("new owner's email address", blank=True)
    removes = models.JSONField(null=True, help_text="NULL where an earlier release did not say.")
    reason = models.TextField()
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.WAITING)
    outcome_reason = models.CharField(max_length=500, blank=True)
    finished_at = models.DateTimeField(null=True)
    token_sha256 = models.CharField(max_length=64, unique=True)

    objects = PendingChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind=Kind.REMOVE_SECOND_FACTOR, user__isnull=False, tenant=None)
                | Q(kind=Kind.REPLACE_OWNER, user=None, tenant__isnull=False),
                name="pending_change_kind_fits",
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(outcome=Outcome.WAITING),
                name="pending_change_of_user_once",
            ),
            models.UniqueConstraint(
                fields=["tenant"],
                condition=Q(outcome=Outcome.WAITING),
                name="pending_change_of_tenant_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(outcome=Outcome.WAITING),
                name="pending_change_by_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.user or self.tenant}"
