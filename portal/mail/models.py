"""Mail to be sent, and the workers that send it."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone


class OutboxQuerySet(models.QuerySet["Outbox"]):
    """Queries for the outbox."""

    def waiting(self) -> OutboxQuerySet:
        """Return the mails that are still to be sent."""
        return self.filter(sent_at=None, given_up_at=None)

    def given_up(self) -> OutboxQuerySet:
        """Return the mails that nobody tries to send any more."""
        return self.filter(given_up_at__isnull=False)

    def due(self, now: datetime) -> OutboxQuerySet:
        """Return the mails to send now, the longest due first."""
        return self.waiting().filter(send_after__lte=now).order_by("send_after", "pk")


class Outbox(models.Model):
    """A mail to be sent: stored in the transaction it is about, sent after commit, retried."""

    tenant_id = models.UUIDField(null=True)
    dedupe_key = models.CharField(
        max_length=200,
        null=True,
        unique=True,
        help_text="Names what must be sent only once, such as a reminder of one day.",
    )
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    html = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    send_after = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(
                fields=["send_after"],
                condition=Q(sent_at=None, given_up_at=None),
                name="outbox_still_to_send",
            ),
            models.Index(
                fields=["given_up_at"],
                condition=Q(given_up_at__isnull=False),
                name="outbox_given_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} to {self.to}"


class Heartbeat(models.Model):
    """The newest sign of life of one worker process."""

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    doing = models.CharField(max_length=60, blank=True)
    """Name of the task under way, empty between two rounds."""
    doing_since = models.DateTimeField()
    secret_key_print = models.CharField(max_length=16)
    """Tells whether two processes have the same SECRET_KEY, and nothing else of it."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "pid"], name="heartbeat_process_unique")
        ]

    def __str__(self) -> str:
        return f"worker {self.pid} on {self.host}"
